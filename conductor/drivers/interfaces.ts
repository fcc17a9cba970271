/**
 * The contracts of the drivers. A driver is given a task (a node under our lock and what may be used with it) and knows
 * neither API nor database. Every method may be called again after a crash: it looks before it acts.
 */
import type { Writable } from 'node:stream';
import type { SnapshotOptions } from '../../protocol/capture.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { Logger } from '../../protocol/log.ts';
import type { PowerState, SnapshotPhase } from '../../protocol/provision.ts';
import type { Image, ImageData } from '../../protocol/image.ts';
import type { CommandReport } from '../../protocol/agent-api.ts';
import type { NodeRow, PortRow, SnapshotRow, SnapshotDiskRow } from '../db/rows.ts';
import type { DeployDriver } from './deployment.ts';

export type BootDevice = 'pxe' | 'disk' | 'cdrom' | 'bios' | 'safe';
export interface BootDeviceSetting {
  bootDevice: BootDevice | null;
  persistent: boolean | null;
}

/** What a driver may read of a node, and where it gets its deadline. */
export interface DriverTask {
  readonly node: Readonly<NodeRow>;
  readonly ports: readonly PortRow[];
  readonly log: Logger;
  /** Aborted when the phase's deadline passes or the conductor stops. */
  readonly signal: AbortSignal;
}

export interface Driver {
  /** The value of the node's `*_interface` field. */
  readonly name: string;
  /** Description by property name, as `GET /v1/drivers/X/properties` shows them. */
  readonly properties: Readonly<Record<string, string>>;
  /** @throws MetalshotError with the reason why this node cannot work with this implementation. */
  validate(task: DriverTask): Promise<void>;
}

export interface PowerDriver extends Driver {
  /** There is no machine whose state could be found: what was never asked for is not recorded. */
  readonly imaginary?: true;
  /** Asks the machine. */
  getPowerState(task: DriverTask): Promise<PowerState>;
  /** Asks for the state and returns once the machine confirms it. Already there: nothing is done. */
  setPowerState(task: DriverTask, target: PowerState, timeoutMs: number): Promise<void>;
  /** Asks the operating system to shut down; returns true once the machine is off, false when it was not within the time. */
  softPowerOff(task: DriverTask, timeoutMs: number): Promise<boolean>;
}

export interface ManagementDriver extends Driver {
  supportedBootDevices(task: DriverTask): Promise<BootDevice[]>;
  getBootDevice(task: DriverTask): Promise<BootDeviceSetting>;
  /** `persistent: false`: for the next boot only. */
  setBootDevice(task: DriverTask, device: BootDevice, persistent: boolean): Promise<void>;
}

export interface BootDriver extends Driver {
  /** What a machine boots from when it is to boot the ramdisk. */
  readonly ramdiskDevice: BootDevice;
  /** Asks the BMC, while the server still runs, whether the ramdisk can be booted; nothing is changed. @throws MetalshotError with the reason. */
  probe?(task: DriverTask): Promise<void>;
  /**
   * Everything that a boot into the ramdisk needs on our side, while the machine is off; power and boot device are the
   * workflow's. What it returns is stored before the machine is powered on.
   */
  prepareRamdisk(task: DriverTask): Promise<PreparedBoot>;
  /** The machine is off, or about to be. Nothing prepared: fine. */
  cleanUpRamdisk(task: DriverTask): Promise<void>;
}
/** How the boot into the ramdisk that was prepared is recognized. */
export type PreparedBoot = Pick<NodeRow, 'ramdiskBoot' | 'bootNonceHash'>;

/**
 * The networks that a machine is connected to, in Ironic's order: into the ramdisk `unconfigureTenantNetworks`,
 * `addProvisioningNetwork`, with the machine off; back `removeProvisioningNetwork`, `configureTenantNetworks`.
 */
export interface NetworkDriver extends Driver {
  unconfigureTenantNetworks(task: DriverTask): Promise<void>;
  addProvisioningNetwork(task: DriverTask): Promise<void>;
  removeProvisioningNetwork(task: DriverTask): Promise<void>;
  configureTenantNetworks(task: DriverTask): Promise<void>;
}

export type Outcome = 'done' | 'wait';

/** The seed's optional interface: start, continue at a heartbeat, clean up. */
export interface SnapshotDriver extends Driver {
  /** Whether this implementation takes snapshots at all, with the reason when it does not. */
  readonly unsupported?: string;
  /**
   * Everything about the request that can be known before the node is touched, by name: a request is refused by the first
   * that throws (MetalshotError, 400 or 503), a dry run tells all.
   */
  requestChecks(task: DriverTask, request: SnapshotRequest): Readonly<Record<string, () => Promise<void>>>;
  /** What the snapshot will be, of what was asked for, what the node says and what is set up; absent: as asked for. @throws InvalidParameterError */
  effectiveOptions?(task: DriverTask, requested: SnapshotOptions): SnapshotOptions;
  /** The conductor is back while the agent streams: opens what the agent sends to. */
  takeUp?(task: SnapshotTask): Promise<void>;
  /** Takes the server into the ramdisk. */
  snapshot(task: SnapshotTask): Promise<Outcome>;
  /** Goes on from the stored phase: the ramdisk is alive, or the agent's command has ended. */
  continueSnapshot(task: SnapshotTask): Promise<Outcome>;
  /**
   * Looks at the agent while it streams. `wait`: still at it, progress is stored; `continue`: its command has ended.
   * @throws MetalshotError when the snapshot has to fail.
   */
  poll(task: SnapshotTask): Promise<'wait' | 'continue'>;
  /** Leaves nothing half-made: credential revoked, command stopped, intermediate image removed, holder as it was found. */
  cleanUp(task: SnapshotTask): Promise<void>;
}

export interface SnapshotRequest {
  imageRef: string;
  /** How the disk is captured, as far as it was asked for. */
  options?: SnapshotOptions;
  /** Of the caller, who must own the holder; null: the project in which we are with the image service must. */
  projectId: string | null;
  /** The holder may be anybody's: an administrator asks, or the owner was checked before. */
  anyOwner?: boolean;
}

/** A driver task with a snapshot under way and the parts that only a snapshot needs. */
export interface SnapshotTask extends DriverTask, RamdiskControl {
  readonly snapshot: Readonly<SnapshotRow>;
  readonly drivers: DriverSet;
  readonly share: SnapshotShare;
  readonly images: ImageService;
  readonly agent: AgentClient;
  readonly limits: SnapshotLimits;
  /** Runs phases in order; stores each one's name before it begins, gives it a deadline, and stops at the first that waits. */
  runPhases(phases: readonly Phase[]): Promise<Outcome>;
  saveSnapshot(patch: Partial<Pick<SnapshotRow, 'commandId' | 'credentialHash' | 'captureDeadlineAt' | 'step' | 'bytesDone' | 'bytesTotal' | 'progressAt' | 'poweredOffAt' | 'poweredOnAt' | 'prediction'>>): Promise<void>;
  saveDisk(position: number, patch: Partial<Pick<SnapshotDiskRow, 'sizeBytes' | 'virtualSizeBytes' | 'proof' | 'osHashAlgo' | 'osHashValue' | 'device' | 'formatsSet' | 'report' | 'receivedBy'>>): Promise<void>;
  saveNode(patch: Partial<Pick<NodeRow, RamdiskField | 'targetPowerState'>>): Promise<void>;
  /** What the ramdisk found in the machine. */
  saveInventory(inventory: Inventory): Promise<void>;
  /** What the ramdisk last found in the machine; null when it never looked. */
  inventory(): Promise<Inventory | null>;
  /** Brings the server back to its own disk, or leaves it off when it was off before; sets bootBack to `done`. */
  bootBack(): Promise<void>;
}

/**
 * What runs on a machine that was powered on to boot the ramdisk: the agent `answers`; or it does not, but was heard of too
 * shortly ago for anything else to run there (`silent`); or the machine may have gone back to its own disk by itself, as one
 * that has asked for its boot script again.
 */
export type RamdiskPresence = 'answers' | 'silent' | 'perhaps gone';

/** What the workflow does for whoever ends a ramdisk. */
export interface RamdiskControl {
  /** Asks the agent. Never fails. */
  ramdiskPresence(): Promise<RamdiskPresence>;
  /** Fetches the logs of a ramdisk that answers, where they are to be kept. Takes seconds at most and never fails. */
  keepRamdiskLogs(): Promise<void>;
  /** Adds a line to the node's history that tells of trouble which fails nothing. */
  noteEvent(event: string): Promise<void>;
}

/** What of a node's row changes when its machine is taken into the ramdisk and back. */
export type RamdiskField =
  | ('bootBack' | 'bootBackAttempts' | 'bootBackNextAt' | 'powerStateBefore' | 'powerOffDue' | 'powerState')
  | ('agentToken' | 'agentUrl' | 'agentVerifyCa' | 'agentLastHeartbeatAt')
  | ('ramdiskBoot' | 'bootNonceHash' | 'bootDeviceBefore');

export interface Phase {
  name: SnapshotPhase;
  timeoutMs: number;
  run(task: SnapshotTask): Promise<Outcome>;
}

export interface SnapshotLimits {
  softPowerOffTimeoutMs: number;
  powerTimeoutMs: number;
  /** For one call of the network interface. */
  networkTimeoutMs: number;
  captureTimeoutMs: number;
  stallTimeoutMs: number;
  uploadTimeoutMs: number;
  uploadAttempts: number;
  uploadRetryPauseMs: number;
  /** How long an aborted upload may take to bring its image back to `queued`. */
  requeueTimeoutMs: number;
  maxImageBytes: number;
  spoolReserveBytes: number;
}

export interface DriverSet {
  power: PowerDriver;
  management: ManagementDriver;
  boot: BootDriver;
  deploy: DeployDriver;
  network: NetworkDriver;
  snapshot: SnapshotDriver;
}

/**
 * Where an image goes that comes as a stream, asked when its length is known; null: into a file of the spool. The writable
 * commits at its end and leaves nothing when it is destroyed before; `onDigest` is told the image's sha512 (hex) once it is
 * proven, before its end comes. Asked again, with the reason, when the spool has no room.
 */
export type ImageReceiver = (imageName: string, sizeBytes: number, spoolRefusal?: string) => Promise<{ writable: Writable; onDigest(sha512: string): void } | null>;

/** The webdav room as a snapshot sees it. */
export interface SnapshotShare {
  /** Makes the snapshot's directory; the URL is the agent's, without credentials. */
  open(snapshotUuid: string, quotaBytes: number, receiver?: ImageReceiver): Promise<{ url: string; ca: string | undefined }>;
  /** The finished file, or null when none has been received under this name; what it was proven by (an ImageProof's `value`) where this process received it. */
  received(snapshotUuid: string, imageName: string): Promise<{ path: string; sizeBytes: number; proof?: string } | null>;
  /** Why the share last refused an upload (quota, reserve, disk full), for a person; the agent's davfs2 hides it. Null: it refused none. */
  refusalOf(snapshotUuid: string): string | null;
  /** Bytes of uploads under way. */
  bytesReceived(snapshotUuid: string): number;
  /** Ends uploads under way and removes everything of the snapshot. Nothing there: fine. */
  remove(snapshotUuid: string): Promise<void>;
  /** Bytes that the file system of the spool has free and that no upload under way was promised. */
  freeBytes(): Promise<number>;
}

/** What we may have put under an image's name, as the snapshot's row tells: nothing was there before. */
export interface SentImage {
  sizeBytes: number;
}

/**
 * What receives images, as a snapshot sees it: the image service (Glance v2; image-service/client), and places outside it,
 * named by a URL in place of the image's id (conductor/images/destinations). Who was faster than an upload is told by `data.taken`.
 */
export interface ImageService {
  show(imageId: string, signal?: AbortSignal): Promise<Image | null>;
  /** Project of the service's own token; null without authentication. */
  projectId(): Promise<string | null>;
  /** Sets properties that the image does not have or has with other values; allowed on an active image. */
  setProperties(imageId: string, properties: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void>;
  setFormats(imageId: string, formats: { disk_format?: string | null; container_format?: string | null }, signal?: AbortSignal): Promise<void>;
  /**
   * The image once no upload to it is under way and nothing half-made of ours is left there; null: there is none.
   * @param options ours: what may be there of our own making; null: nothing, then nothing that is seen under the name is removed.
   * @throws TemporarilyUnavailableError when an upload is still under way as the time is over.
   */
  settle(imageId: string, options: { timeoutMs: number; ours: SentImage | null; signal?: AbortSignal }): Promise<Image | null>;
  /**
   * Streams data of known length; destroyed before their end they leave the image without data.
   * @param options answerTimeoutMs: for the answer once everything is sent, where it can not be waited for as long as is usual.
   * @throws MetalshotError; `data.retryable` tells whether another try makes sense.
   */
  upload(imageId: string, source: ImageData, sizeBytes: number, options: { signal: AbortSignal; onProgress?: (bytesSent: number) => void; answerTimeoutMs?: number }): Promise<void>;
  /** Proves that the image is active and holds these data, by what the service computed itself. @throws OperationFailedError naming every difference. */
  verify(imageId: string, expected: { sizeBytes: number; osHashValue: string }, signal?: AbortSignal): Promise<void>;
  /** Sees to it that nobody takes the data for a snapshot. Where that means to remove them: @throws OperationFailedError unless they are ours. */
  deactivate(imageId: string, options: { ours: SentImage | null; signal?: AbortSignal }): Promise<void>;
}

/** The ramdisk agent's commands API; implemented by conductor/agent-client. */
export interface AgentClient {
  /**
   * Sends a command without waiting for its end. After a lost reply the RUNNING command of the same name is adopted.
   * @throws OperationFailedError
   */
  start(node: Readonly<NodeRow>, name: string, params: Record<string, unknown>, signal: AbortSignal): Promise<CommandReport>;
  /** Null: the agent does not know the command. */
  status(node: Readonly<NodeRow>, commandId: string, signal: AbortSignal): Promise<CommandReport | null>;
  /**
   * Runs a command that ends within the request's time limit, in one request that is not repeated.
   * @throws OperationFailedError when it does not end well, or the agent does not answer.
   */
  execute(node: Readonly<NodeRow>, name: string, params: Record<string, unknown>, signal: AbortSignal): Promise<CommandReport>;
  /** Stops a running command; resolved when the agent has let go of disk and mount. Already ended or unknown: fine. */
  stop(node: Readonly<NodeRow>, commandId: string, signal: AbortSignal): Promise<void>;
}
