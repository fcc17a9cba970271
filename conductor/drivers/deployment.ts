/** The contracts of deployment: what a deploy driver is given, and the images it writes. As in interfaces.ts, every method may be called again. */
import type { RecordedDisk } from '../../protocol/deploy-commands.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { ImageManifest } from '../../protocol/image-manifest.ts';
import type { OperationPhase } from '../../protocol/provision.ts';
import type { NodeRow, OperationRow } from '../db/rows.ts';
import type { AgentClient, Driver, DriverSet, DriverTask, Outcome, RamdiskControl, RamdiskField } from './interfaces.ts';

/** What is to be written, as `instance_info` (or a request's `image_ref`) names it. */
export interface ImageSource {
  /** UUID (also as glance://UUID) of an image of the image service, or an http(s) or file URL. */
  source: string;
  /** `instance_info.image_disk_format`; needed for URLs whose name does not tell (.qcow2, .raw, .img). */
  diskFormat: string | null;
  /** Of URLs: `image_checksum` (md5, or `algo:hex`), `image_os_hash_algo`, `image_os_hash_value`. */
  hashAlgo: string | null;
  hashValue: string | null;
}

/** What is known of an image without its data. */
export interface ImageFacts {
  source: string;
  name: string | null;
  diskFormat: 'qcow2' | 'raw';
  /** Null: the server does not say. */
  sizeBytes: number | null;
  /** Size of the disk that it becomes; null where only the data tell (a qcow2 of a URL). */
  virtualSizeBytes: number | null;
  /** Bytes that the image's owner asks for at least. */
  minDiskBytes: number;
  hashAlgo: string;
  hashValue: string;
  /** What our own snapshots carry. */
  manifest: ImageManifest | null;
  /** Glance's `hw_firmware_type`, else the manifest's. */
  bootMode: 'bios' | 'uefi' | null;
}

/** An image that is fetched, proven and ready to be sent. */
export interface PreparedImage {
  virtualSizeBytes: number;
  /** Bytes that are not zeros: what will travel. */
  dataBytes: number;
}

/** Images for machines: fetched from where they are, proven, and served to one machine each on the provisioning listener. */
export interface DeployImages {
  /**
   * Everything about the source that can be known without fetching it: it exists, is allowed, has a digest, a format that we write.
   * @param forProject who asks: a project is told of its own images, of those for everybody, and of no files; null: of everything.
   * @throws InvalidParameterError (permanent), TemporarilyUnavailableError.
   */
  describe(source: ImageSource, signal: AbortSignal, forProject?: string | null): Promise<ImageFacts>;
  /**
   * Fetches the data, digest checked while they stream; probes the format, which must be the declared one and refer to no
   * other file; makes them ready to be sent. What is ready already is kept.
   * @throws InvalidParameterError for an image that is not what it should be; OperationFailedError; TemporarilyUnavailableError when space is short.
   */
  prepare(operationUuid: string, source: ImageSource, options: { signal: AbortSignal; onProgress?: (bytesDone: number, bytesTotal: number | null) => void }): Promise<PreparedImage>;
  /** The prepared image, or null when there is none (it was removed, or never made). */
  prepared(operationUuid: string): Promise<PreparedImage | null>;
  /** URL at which a machine reads the disk stream of the prepared image, and the PEM it has to trust. */
  location(operationUuid: string): { url: string; ca: string | undefined };
  /** Ends what is under way and removes everything of the operation. Nothing there: fine. */
  remove(operationUuid: string): Promise<void>;
  /** Removes what belongs to none of these operations; returns what that was. */
  removeOrphans(known: ReadonlySet<string>): Promise<string[]>;
}

/** What the conductor does for a machine's ramdisk: a deployment, a rebuild or a cleaning, under way. */
export interface OperationTask extends DriverTask, RamdiskControl {
  readonly operation: Readonly<OperationRow>;
  readonly drivers: DriverSet;
  readonly agent: AgentClient;
  readonly limits: OperationLimits;
  /** What the machine was last found to have; null when it was never looked at. */
  readonly inventory: Inventory | null;
  /** The disk that earlier work on this machine is known to have been on; null when none has a serial number or WWN, or when root device hints name another by its own. */
  readonly recordedDisk: RecordedDisk | null;
  /** Runs phases in order; stores each one's name before it begins, gives it a deadline, and stops at the first that waits. */
  runPhases(phases: readonly OperationStep[]): Promise<Outcome>;
  saveOperation(patch: OperationPatch): Promise<void>;
  saveNode(patch: OperationNodePatch): Promise<void>;
  saveInventory(inventory: Inventory): Promise<void>;
}
export type OperationPatch = Partial<Pick<OperationRow, 'credentialHash' | 'commandId' | 'deadlineAt' | 'step' | 'bytesDone' | 'bytesTotal' | 'progressAt' | 'diskTouched' | 'device' | 'report'>>;
export type OperationNodePatch = Partial<
  Pick<NodeRow, RamdiskField | 'targetPowerState' | 'instanceInfo' | 'driverInternalInfo' | 'deployStep' | 'cleanStep'>
>;

export interface OperationStep {
  name: OperationPhase;
  timeoutMs: number;
  run(task: OperationTask): Promise<Outcome>;
}

export interface OperationLimits {
  softPowerOffTimeoutMs: number;
  powerTimeoutMs: number;
  /** For one call of the network interface. */
  networkTimeoutMs: number;
  fetchTimeoutMs: number;
  writeTimeoutMs: number;
  cleanTimeoutMs: number;
  stallTimeoutMs: number;
}

export interface CleanStep {
  interface: string;
  step: string;
  args?: Record<string, unknown>;
}

/** Deployment and cleaning: start, continue at a heartbeat, look at the agent meanwhile, clean up. */
export interface DeployDriver extends Driver {
  /** Clean steps (`interface.step`) that it knows. */
  readonly cleanSteps: readonly string[];
  /**
   * What there is to be written, before anything is touched; null when this implementation writes nothing.
   * @param forProject the project whose people ask, who must be allowed to have the image; null: they may have any.
   * @throws MetalshotError (400 or 503)
   */
  describeImage(task: DriverTask, source: ImageSource | null, forProject: string | null): Promise<ImageFacts | null>;
  deploy(task: OperationTask): Promise<Outcome>;
  continueDeploy(task: OperationTask): Promise<Outcome>;
  /** `steps` null: what belongs to automated cleaning. */
  clean(task: OperationTask, steps: readonly CleanStep[] | null): Promise<Outcome>;
  continueClean(task: OperationTask): Promise<Outcome>;
  /** Looks at the agent while its command runs. `continue`: it has ended. @throws MetalshotError when the operation has to fail. */
  poll(task: OperationTask): Promise<'wait' | 'continue'>;
  /** After a failure or an abort: credential revoked, command stopped, fetched image removed. Says nothing to power. */
  cleanUp(task: OperationTask): Promise<void>;
  /** What an undeployment asks of the driver before the server is switched off. */
  tearDown(task: DriverTask): Promise<void>;
}
