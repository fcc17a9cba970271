/** The agent's commands for deployments and cleaning. Names are the wire's own (snake_case). */
import { z } from 'zod';
import { capturedDiskSchema } from './agent-api.ts';
import { inventorySchema } from './inventory.ts';

export const WRITE_IMAGE_COMMAND = 'deploy.write_image';
export const ERASE_METADATA_COMMAND = 'deploy.erase_devices_metadata';

/** Ironic's root device hints, already chosen between instance_info and properties. */
export const rootDeviceHintsSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
/** The disk that the node has recorded. What is null is not compared; serial and WWN both null: nothing is recorded. */
export const recordedDiskSchema = z.strictObject({ serial: z.string().nullable(), wwn: z.string().nullable(), size_bytes: z.number().nullable() });
export type RecordedDisk = z.infer<typeof recordedDiskSchema>;

/** Which disk may be written: the recorded one, else the one that hints name, else (only without both) the one by Ironic's rule when there is no other. */
const targetDisk = { root_device: rootDeviceHintsSchema.optional(), recorded_disk: recordedDiskSchema.optional() };

/** `deploy.write_image`: the disk stream (disk-stream.ts) at `url` becomes the content of the root disk. */
export const writeImageParamsSchema = z.strictObject({
  /** On the conductor's provisioning listener, readable with this deployment's credential only. */
  url: z.url({ protocol: /^https?$/ }),
  username: z.string().min(1),
  password: z.string().min(1),
  /** PEM of the listener's certificate; absent with plain http or a certificate of a public authority. */
  ca: z.string().optional(),
  virtual_size_bytes: z.number().int().positive(),
  ...targetDisk,
  /** Label of the UEFI boot entry. */
  boot_label: z.string().regex(/^[\x20-\x7e]{1,64}$/).default('Metalshot'),
  /** Makes the copy a machine of its own: machine-id, host name, SSH host keys, disk identifiers where safe. */
  generalize: z.strictObject({ hostname: z.string().regex(/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/, 'expected a host name') }).optional(),
  /** Times that the image is begun to be received: a cut connection, a stall and a wrong digest cost one each, a server that does not answer none. */
  attempts: z.number().int().positive().default(5),
  /** Seconds for the whole command. */
  deadline_s: z.number().positive(),
  /** Seconds without any progress after which an attempt fails; and for which a server that does not answer is asked again. */
  stall_timeout_s: z.number().positive(),
});
export type WriteImageParams = z.infer<typeof writeImageParamsSchema>;

/** `command_result` of a RUNNING `write_image`, also the `details` (JSON) of one that FAILED. */
export const writeImageProgressSchema = z.object({
  phase: z.enum(['preparing', 'writing', 'finishing', 'generalizing']),
  /** Bytes of the disk that are as the image has them: data received, and zeros made. Begins again with each attempt. */
  bytes_done: z.number(),
  /** The image's virtual size. */
  bytes_total: z.number(),
  /** Whether a byte of the disk may have changed: set before the first write. */
  disk_touched: z.boolean(),
});
export type WriteImageProgress = z.infer<typeof writeImageProgressSchema>;

/** One thing that generalizing changed, or left as it was and why. */
export const generalizedItemSchema = z.object({ item: z.string(), where: z.string(), outcome: z.enum(['changed', 'removed', 'kept']), note: z.string() });
export type GeneralizedItem = z.infer<typeof generalizedItemSchema>;

export const writeImageResultSchema = z.object({
  disk: capturedDiskSchema,
  virtual_size_bytes: z.number(),
  /** Bytes of data written; the rest of the image's range was made zeros. */
  bytes_written: z.number(),
  /** Of the disk stream. */
  sha512: z.string(),
  backup_gpt: z.enum(['moved', 'in place', 'none']),
  boot_entry: z.enum(['created', 'fallback path', 'not needed']),
  generalized: z.array(generalizedItemSchema).nullable(),
  inventory: inventorySchema,
  duration_s: z.number(),
});
export type WriteImageResult = z.infer<typeof writeImageResultSchema>;

/** `deploy.erase_devices_metadata`: partition tables and signatures of the root disk are wiped. */
export const eraseMetadataParamsSchema = z.strictObject({ ...targetDisk, deadline_s: z.number().positive() });
export type EraseMetadataParams = z.infer<typeof eraseMetadataParamsSchema>;
/** `disk: null`: the machine has no disk that may be wiped (none at all); nothing was done. */
export const eraseMetadataResultSchema = z.object({ disk: capturedDiskSchema.nullable(), wiped: z.array(z.string()), inventory: inventorySchema, duration_s: z.number() });
export type EraseMetadataResult = z.infer<typeof eraseMetadataResultSchema>;
