/**
 * What the ramdisk agent and the conductor say to each other: lookup, heartbeat, and the agent's commands API, as Ironic
 * and its agent speak it. Names are the wire's own (snake_case).
 */
import { z } from 'zod';
import { capturePredictionSchema, captureReportSchema, COMPRESSIONS, READ_ERROR_POLICIES, SNAPSHOT_METHODS } from './capture.ts';
import { imageProofSchema } from './image-proof.ts';
import { inventorySchema } from './inventory.ts';
import type { JsonObject } from './json.ts';

/** The port on which the agent serves its commands API (Ironic's `ipa-listen-port`). */
export const AGENT_PORT = 9999;
/** First microversions of lookup and heartbeat, and of the heartbeat's later fields. */
export const LOOKUP_MICROVERSION = 22;
export const AGENT_VERSION_MICROVERSION = 36;
export const AGENT_TOKEN_MICROVERSION = 62;
export const AGENT_VERIFY_CA_MICROVERSION = 68;

export interface LookupReply {
  node: { uuid: string; properties: JsonObject; instance_info: JsonObject; driver_internal_info: JsonObject; links: { href: string; rel: string }[] };
  /** `heartbeat_timeout` in seconds; `agent_token` is the token once, `******` ever after. */
  config: { heartbeat_timeout: number; agent_token: string; agent_token_required: true };
}

/** What a repeated lookup gets in place of the token. */
export const HIDDEN_TOKEN = '******';

/** Strict: an unknown field is refused (400). */
export const heartbeatBodySchema = z.strictObject({
  callback_url: z.url(),
  agent_token: z.string().min(1),
  agent_version: z.string().optional(),
  agent_verify_ca: z.string().optional(),
  agent_status: z.string().optional(),
  agent_status_message: z.string().optional(),
});
export type HeartbeatBody = z.infer<typeof heartbeatBodySchema>;

export const commandRequestSchema = z.strictObject({
  /** `extension.command`, for example `snapshot.stream_image`. */
  name: z.string().regex(/^[a-z_]+\.[a-z_]+$/, 'expected "extension.command"'),
  params: z.record(z.string(), z.unknown()).default({}),
});
export type CommandRequest = z.infer<typeof commandRequestSchema>;

export type CommandStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED';
export interface CommandError {
  type: string;
  code: number;
  message: string;
  details: string;
}
export interface CommandReport {
  id: string;
  /** Without the extension's prefix, as Ironic's agent reports it. */
  command_name: string;
  command_params?: JsonObject;
  command_status: CommandStatus;
  command_error: CommandError | null;
  /** The result of a command that SUCCEEDED; its progress while RUNNING. */
  command_result: JsonObject | null;
}

/** Parameters of `snapshot.stream_image`. The seed names `url` and `image_name`; the rest is ours. */
export const streamImageParamsSchema = z.strictObject({
  /** The snapshot's own directory on the conductor's share. */
  url: z.url({ protocol: /^https?$/ }),
  /** Final name of the image on the share. */
  image_name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'expected a plain file name'),
  username: z.string().min(1),
  password: z.string().min(1),
  /** PEM of the share's certificate; absent with plain http or a certificate of a public authority. */
  ca: z.string().optional(),
  disk_format: z.literal('qcow2').default('qcow2'),
  method: z.enum(SNAPSHOT_METHODS).default('mount'),
  full: z.boolean().default(false),
  on_read_error: z.enum(READ_ERROR_POLICIES).default('fail'),
  compression: z.enum(COMPRESSIONS).default('none'),
  /** The server may be down for so long only: nothing is read that does not save time. */
  time_is_limited: z.boolean().default(false),
  /** How often a stream is begun, the first time included. */
  attempts: z.number().int().positive().default(3),
  /** Ironic's root device hints, already chosen between instance_info and properties; absent: the rule without hints. */
  root_device: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  /** Capture a disk although it is part of something that spans other disks. */
  allow_partial: z.boolean().default(false),
  /** Seconds for the whole command. */
  deadline_s: z.number().positive(),
  /** Seconds without any progress after which the command fails. */
  stall_timeout_s: z.number().positive(),
});
export type StreamImageParams = z.infer<typeof streamImageParamsSchema>;

export const capturedDiskSchema = z.object({
  name: z.string(),
  serial: z.string().nullable(),
  wwn: z.string().nullable(),
  model: z.string().nullable(),
  size_bytes: z.number(),
  sector_size_bytes: z.number(),
});
export type CapturedDisk = z.infer<typeof capturedDiskSchema>;

/** `command_result` of a RUNNING `stream_image`. `bytes_*` count the disk while converting, the image while uploading. */
export const streamImageProgressSchema = z.object({
  phase: z.enum(['preparing', 'mounting', 'converting', 'uploading', 'mapping', 'scanning', 'streaming', 'finishing']),
  bytes_done: z.number(),
  bytes_total: z.number(),
  /** Once it is known what will be read and sent. */
  prediction: capturePredictionSchema.optional(),
});
export type StreamImageProgress = z.infer<typeof streamImageProgressSchema>;

/** `command_result` of `log.collect_system_logs`, as Ironic's agent answers: base64 of a gzip'ed tar of at most 2 MiB. */
export const systemLogsResultSchema = z.object({ system_logs: z.base64() });
export type SystemLogsResult = z.infer<typeof systemLogsResultSchema>;

/** Numbers of firmware entries as efibootmgr(8) prints them; null: the variable does not exist. */
export const bootOrderSchema = z.object({ boot_order: z.array(z.string()).nullable(), boot_next: z.string().nullable() });
export type BootOrder = z.infer<typeof bootOrderSchema>;

/** What a capture has found of UEFI's BootOrder and BootNext, and what the agent has put back. */
export const bootEntriesReportSchema = z.object({
  /** As the ramdisk found them. */
  before: bootOrderSchema,
  /** At the end of the capture, before anything was put back; null: they could not be read. */
  after: bootOrderSchema.nullable(),
  restored: z.array(z.enum(['BootOrder', 'BootNext'])),
  /** Why they are not as before; null: they are. */
  problem: z.string().nullable(),
});
export type BootEntriesReport = z.infer<typeof bootEntriesReportSchema>;

export const streamImageResultSchema = z.object({
  image_name: z.string(),
  size_bytes: z.number().int().positive(),
  /** Of the whole image. */
  proof: imageProofSchema,
  virtual_size_bytes: z.number().int().positive(),
  disk: capturedDiskSchema,
  /** What else the machine has: for the image's manifest. */
  inventory: inventorySchema.optional(),
  /** Of a machine with UEFI. */
  boot_entries: bootEntriesReportSchema.optional(),
  /** How it was captured; absent from agents of before. */
  report: captureReportSchema.optional(),
  duration_s: z.number(),
});
export type StreamImageResult = z.infer<typeof streamImageResultSchema>;
