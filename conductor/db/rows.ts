/** The rows of the database as the rest of the conductor sees them. Wire names (snake_case) are made in api/ only. */
import type { JsonObject } from '../../protocol/json.ts';
import type { OperationKind, OperationPhase, PowerState, SnapshotPhase } from '../../protocol/provision.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';

/** Interface kinds whose implementation a node names, in the order of Ironic's fields; `snapshot` is ours. */
export const INTERFACE_KINDS = ['bios', 'boot', 'console', 'deploy', 'inspect', 'management', 'network', 'power', 'raid', 'rescue', 'snapshot', 'storage', 'vendor'] as const;
export type InterfaceKind = (typeof INTERFACE_KINDS)[number];

export type PowerOffDue = 'none' | 'shutdown' | 'ramdisk';
export type BootBack = 'pending' | 'done' | 'failed';
export type RamdiskBoot = 'armed' | 'served' | 'left';

export interface NodeRow {
  id: number;
  uuid: string;
  name: string | null;
  driver: string;
  /** Implementation by interface kind, all kinds always present. */
  interfaces: Record<InterfaceKind, string>;
  driverInfo: JsonObject;
  driverInternalInfo: JsonObject;
  properties: JsonObject;
  instanceInfo: JsonObject;
  instanceUuid: string | null;
  extra: JsonObject;
  networkData: JsonObject;
  resourceClass: string | null;
  conductorGroup: string;
  owner: string | null;
  lessee: string | null;
  description: string | null;
  automatedClean: boolean | null;
  protected: boolean;
  protectedReason: string | null;
  retired: boolean;
  retiredReason: string | null;

  provisionState: ProvisionState;
  targetProvisionState: string | null;
  provisionUpdatedAt: Date | null;
  powerState: PowerState | null;
  targetPowerState: PowerState | null;
  cleanStep: JsonObject;
  deployStep: JsonObject;
  lastError: string | null;
  maintenance: boolean;
  maintenanceReason: string | null;
  fault: string | null;

  /** Name of the conductor that holds the exclusive lock; null when free. */
  reservation: string | null;
  /** Whether the server still has to be brought back to run from its own disk; null when nobody took it down. */
  bootBack: BootBack | null;
  /** Power state found before the first power action of the snapshot under way. */
  powerStateBefore: PowerState | null;
  /**
   * What must still go off before the server can be booted back: an operating system that was asked to shut down and may
   * yet do so, or a ramdisk. Stored before the act, `none` again once the machine is seen off.
   */
  powerOffDue: PowerOffDue;
  bootBackAttempts: number;
  bootBackNextAt: Date | null;
  /**
   * The next boot from the network gets the ramdisk, once (`armed`), or has got it (`served`), or a further one has come since
   * (`left`): the machine was reset and runs its own disk, or somebody asked in its name. Null: it gets its own disk.
   */
  ramdiskBoot: RamdiskBoot | null;
  /** SHA-256 (hex) of the nonce that the ramdisk of this boot has to bring to its lookup; null: none is asked for. */
  bootNonceHash: string | null;
  /** What the BMC was set to boot from before we set anything else; null: not known, or restored. */
  bootDeviceBefore: JsonObject | null;

  agentToken: string | null;
  agentUrl: string | null;
  agentVerifyCa: string | null;
  agentVersion: string | null;
  agentLastHeartbeatAt: Date | null;

  createdAt: Date;
  updatedAt: Date | null;
}

export interface PortRow {
  id: number;
  uuid: string;
  nodeId: number;
  /** Lower case, colons. */
  address: string;
  name: string | null;
  pxeEnabled: boolean;
  isSmartnic: boolean;
  physicalNetwork: string | null;
  localLinkConnection: JsonObject;
  extra: JsonObject;
  internalInfo: JsonObject;
  portgroupId: number | null;
  createdAt: Date;
  updatedAt: Date | null;
}

/** A bond of ports, as a record. */
export interface PortgroupRow {
  id: number;
  uuid: string;
  nodeId: number;
  name: string | null;
  /** Lower case, colons. */
  address: string | null;
  mode: string;
  standalonePortsSupported: boolean;
  properties: JsonObject;
  extra: JsonObject;
  internalInfo: JsonObject;
  createdAt: Date;
  updatedAt: Date | null;
}

/** Where a node connects to volumes, as a record. */
export interface VolumeConnectorRow {
  id: number;
  uuid: string;
  nodeId: number;
  type: string;
  connectorId: string;
  extra: JsonObject;
  createdAt: Date;
  updatedAt: Date | null;
}

/** A volume of a node, as a record. */
export interface VolumeTargetRow {
  id: number;
  uuid: string;
  nodeId: number;
  volumeType: string;
  volumeId: string;
  bootIndex: number;
  properties: JsonObject;
  extra: JsonObject;
  createdAt: Date;
  updatedAt: Date | null;
}

/** What the agent last found in a node; protocol Inventory. */
export interface InventoryRow {
  id: number;
  nodeId: number;
  inventory: JsonObject;
  createdAt: Date;
}

/** Work of the ramdisk other than a snapshot: a deployment, a rebuild or a cleaning. Never deleted; the newest of a node is what its view shows. */
export interface OperationRow {
  id: number;
  uuid: string;
  nodeId: number;
  kind: OperationKind;
  phase: OperationPhase;
  status: 'unfinished' | 'done' | 'failed';
  requestedBy: string;
  error: string | null;
  /** What is to be written: drivers' ImageSource. Null for a cleaning. */
  image: JsonObject | null;
  /** `{"hostname": ...}` or null. */
  generalize: JsonObject | null;
  /** Hex sha256 of the password with which the agent reads the image; null once revoked. */
  credentialHash: string | null;
  commandId: string | null;
  /** Absolute limit of the agent's command. */
  deadlineAt: Date | null;
  step: string | null;
  bytesDone: number | null;
  bytesTotal: number | null;
  progressAt: Date | null;
  /** Whether a byte of the disk may have changed: until then a rebuild that fails brings the server back as it was. */
  diskTouched: boolean;
  /** What was written: protocol CapturedDisk. */
  device: JsonObject | null;
  /** The agent's report at the end. */
  report: JsonObject | null;
  phaseStartedAt: Date;
  startedAt: Date;
  finishedAt: Date | null;
}

/** One snapshot of one server: 1..n disks. Never deleted; the newest of a node is what its view shows. */
export interface SnapshotRow {
  id: number;
  uuid: string;
  nodeId: number;
  phase: SnapshotPhase;
  status: 'unfinished' | 'done' | 'failed';
  requestedBy: string;
  error: string | null;
  /** Hex sha256 of the share password of this snapshot; null once revoked. */
  credentialHash: string | null;
  /** Id of the agent's command. */
  commandId: string | null;
  /** Absolute limit of the capture; the wait for the ramdisk has its own. */
  captureDeadlineAt: Date | null;
  step: string | null;
  bytesDone: number | null;
  bytesTotal: number | null;
  /** When bytesDone last changed: what the stall check looks at. */
  progressAt: Date | null;
  phaseStartedAt: Date;
  startedAt: Date;
  finishedAt: Date | null;
  poweredOffAt: Date | null;
  poweredOnAt: Date | null;
  /** What it was asked to be: protocol SnapshotOptions. */
  options: JsonObject;
  /** What the agent expected before it began: protocol CapturePrediction. */
  prediction: JsonObject | null;
  disks: SnapshotDiskRow[];
}

export interface SnapshotDiskRow {
  id: number;
  snapshotId: number;
  /** 0 is the root disk. */
  position: number;
  imageRef: string;
  /** imageRef while the snapshot is unfinished, null after: unique, so one holder is never the target of two. */
  heldImageRef: string | null;
  imageName: string;
  /** Formats found unset on the holder and set by us, to be put back when the snapshot fails. */
  formatsSet: string[];
  /** As the agent reported. */
  sizeBytes: number | null;
  virtualSizeBytes: number | null;
  /** By what the agent tells that it is whole: protocol ImageProof. */
  proof: JsonObject | null;
  /** Of the image, as the image service has to have it; null: not known yet. */
  osHashAlgo: string | null;
  osHashValue: string | null;
  /** What was captured: protocol CapturedDisk. */
  device: JsonObject | null;
  /** How it was captured: protocol CaptureReport. */
  report: JsonObject | null;
  /** Where its bytes went: onto the spool, or straight to the image service; null: none have come whole yet. */
  receivedBy: 'spool' | 'relay' | null;
}

export interface HistoryRow {
  id: number;
  uuid: string;
  nodeId: number;
  createdAt: Date;
  conductor: string;
  user: string;
  /** `provisioning` (transitions) or another of Ironic's event types. */
  eventType: string;
  severity: 'INFO' | 'ERROR';
  /** For a person: from, event, to, duration in the state left, error. */
  event: string;
}

export interface ConductorRow {
  id: number;
  hostname: string;
  conductorGroup: string;
  drivers: string[];
  createdAt: Date;
  updatedAt: Date;
}
