import { z } from 'zod';
import { snapshotOptionsSchema, type CapturePrediction, type CaptureReport, type SnapshotOptions } from './capture.ts';

export const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Verbs of `PUT /v1/nodes/{ident}/states/provision` that we serve, and the machine's event for each. */
export const VERB_EVENTS = {
  active: 'deploy',
  deploy: 'deploy',
  rebuild: 'rebuild',
  deleted: 'delete',
  undeploy: 'delete',
  manage: 'manage',
  provide: 'provide',
  clean: 'clean',
  adopt: 'adopt',
  abort: 'abort',
  snapshot: 'snapshot',
} as const;
export type Verb = keyof typeof VERB_EVENTS;

/** Body of `PUT .../states/provision`; unknown arguments are refused. */
export const provisionRequestSchema = z.strictObject({
  target: z.string(),
  /** snapshot: UUID of the precreated image that receives the data, or a file:, https: or s3: URL; deploy and rebuild: UUID of the image to write, instead of `instance_info.image_source`. */
  image_ref: z.unknown().optional().describe('snapshot: UUID of the precreated image that receives the data, or a place outside the image service (file:///DIRECTORY/NAME.qcow2, https://HOST/NAME.qcow2, s3://BUCKET/KEY.qcow2) that the configuration allows; deploy and rebuild: UUID of the image to write'),
  /** snapshot, deploy and rebuild: check everything that can be known beforehand, touch nothing. */
  dry_run: z.boolean().optional(),
  /** snapshot: how the disk is captured. */
  ...snapshotOptionsSchema.shape,
  /** deploy and rebuild: make the copy a machine of its own (machine-id, host name, SSH host keys, disk identifiers where safe). */
  generalize: z.union([z.boolean(), z.strictObject({ hostname: z.string() })]).optional(),
  configdrive: z.unknown().optional(),
  clean_steps: z.array(z.looseObject({ interface: z.string(), step: z.string() })).nullish(),
  deploy_steps: z.array(z.unknown()).nullish(),
  rescue_password: z.string().nullish(),
  disable_ramdisk: z.boolean().nullish(),
});
export type ProvisionRequest = z.infer<typeof provisionRequestSchema>;

export type PowerTarget = 'power on' | 'power off' | 'rebooting' | 'soft power off' | 'soft rebooting';
export const POWER_TARGETS: readonly PowerTarget[] = ['power on', 'power off', 'rebooting', 'soft power off', 'soft rebooting'];
export type PowerState = 'power on' | 'power off';

/**
 * `driver_internal_info.snapshot` of a node: the latest snapshot as people and programs see it, while under way and after.
 * Times are ISO 8601; durations are seconds.
 */
export interface SnapshotView {
  uuid: string;
  image_ref: string;
  /** The workflow's phase, for example `streaming`. */
  phase: string;
  status: 'unfinished' | 'done' | 'failed';
  requested_by: string;
  started_at: string;
  finished_at: string | null;
  error: string | null;
  /** What the agent does within the phase `streaming`. */
  step: string | null;
  bytes_done: number | null;
  bytes_total: number | null;
  size_bytes: number | null;
  os_hash_algo: string | null;
  os_hash_value: string | null;
  duration_s: number | null;
  /** From the first power-off request until power-on was confirmed with the server's own boot device set. */
  downtime_s: number | null;
  boot_back: 'pending' | 'done' | 'failed' | null;
  /** What it is to be: what was asked for, and what follows from the node and the configuration. */
  options: SnapshotOptions;
  /** What the agent expected before it began; the actual figures stand above. */
  prediction: CapturePrediction | null;
  /** How the disk was captured, part by part. */
  report: CaptureReport | null;
}

/** Phases of a snapshot, in order. Stored before each begins. */
export const SNAPSHOT_PHASES = [
  'queue',
  'quiesce',
  'boot configuration',
  'power on',
  'await ramdisk',
  'boot device back',
  'command',
  'streaming',
  'verify',
  'boot back',
  'upload',
  'remove',
  'finished',
] as const;
export type SnapshotPhase = (typeof SNAPSHOT_PHASES)[number];

/** Phases of a deployment or a cleaning by the ramdisk, in order; each kind has those it needs. Stored before each begins. */
export const OPERATION_PHASES = [
  'fetch image',
  'quiesce',
  'boot configuration',
  'power on',
  'await ramdisk',
  'boot device back',
  'command',
  'running',
  'boot from disk',
  'power off',
  'finished',
] as const;
export type OperationPhase = (typeof OPERATION_PHASES)[number];
export type OperationKind = 'deploy' | 'rebuild' | 'clean';

/**
 * `driver_internal_info.operation` of a node: its latest deployment, rebuild or cleaning as people and programs see it.
 * Times are ISO 8601; durations are seconds.
 */
export interface OperationView {
  uuid: string;
  kind: OperationKind;
  phase: string;
  status: 'unfinished' | 'done' | 'failed';
  requested_by: string;
  started_at: string;
  finished_at: string | null;
  error: string | null;
  /** What is being written; null for a cleaning. */
  image_source: string | null;
  /** What the agent does within the phase `running`. */
  step: string | null;
  bytes_done: number | null;
  bytes_total: number | null;
  disk: Record<string, unknown> | null;
  /** Whether a byte of the disk may have changed. */
  disk_touched: boolean;
  /** The agent's own report at the end: boot entry, backup GPT, what generalizing changed. */
  report: Record<string, unknown> | null;
  duration_s: number | null;
}
