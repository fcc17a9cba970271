/** The rows of the database as the rest of the conductor sees them. Wire names (snake_case) are made in api/ only. */
import type { JsonObject } from '../../protocol/json.ts';
import type { PowerState, SnapshotPhase } from '../../protocol/provision.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';

/** Interface kinds whose implementation a node names, in the order of Ironic's fields; `snapshot` is ours. */
export const INTERFACE_KINDS = ['bios', 'boot', 'console', 'deploy', 'inspect', 'management', 'network', 'power', 'raid', 'rescue', 'snapshot', 'storage', 'vendor'] as const;
export type InterfaceKind = (typeof INTERFACE_KINDS)[number];

export type PowerOffDue = 'none' | 'shutdown' | 'ramdisk';
export type BootBack = 'pending' | 'done' | 'failed';

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
  createdAt: Date;
  updatedAt: Date | null;
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
  osHashAlgo: string | null;
  osHashValue: string | null;
  /** What was captured: protocol CapturedDisk. */
  device: JsonObject | null;
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
