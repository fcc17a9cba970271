/** How a disk is captured: what can be asked for, what the agent expects it to take, and what it reports at the end. */
import { z } from 'zod';

/** `mount`: qemu-img onto a davfs2 mount of the share, as the specification has it; `stream`: one pass, used blocks only; `auto`: a stream, and the mount where a stream can not work. */
export const SNAPSHOT_METHODS = ['mount', 'stream', 'auto'] as const;
/** What becomes of a part of the disk that can not be read: the capture fails, or it is zeros in the image and recorded. */
export const READ_ERROR_POLICIES = ['fail', 'zero'] as const;
/** On the wire only; `auto`: zstd when the link is slower than the compressor. */
export const COMPRESSIONS = ['none', 'zstd', 'auto'] as const;
/** Where a streamed image is until the image service has it: nowhere (`relay`), or in the spool; `auto`: by room and measured speeds. */
export const INTERMEDIATE_STORAGES = ['relay', 'spool', 'auto'] as const;

const DURATION_UNITS_S = { s: 1, m: 60, h: 3_600 } as const;
const LONGEST_DURATION_S = 400_000;

/** Seconds as a number, or with a unit as text (`90s`, `15m`, `1.5h`); becomes seconds. */
export const durationSchema = z
  .union([z.number(), z.string()])
  .transform((value, context) => {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(String(value)) ?? [];
    const durationS = Number(amount) * DURATION_UNITS_S[(unit ?? 's') as keyof typeof DURATION_UNITS_S];
    if (durationS > 0 && durationS <= LONGEST_DURATION_S) return durationS;
    context.addIssue({ code: 'custom', message: `expected seconds (up to ${LONGEST_DURATION_S}), or a number with a unit such as 90s, 15m or 1h, found ${JSON.stringify(value)}` });
    return z.NEVER;
  });

/** What a snapshot was asked to be; what is absent follows from the node's driver_info (`snapshot_*`), then from the configuration. */
export const snapshotOptionsSchema = z.strictObject({
  snapshot_method: z.enum(SNAPSHOT_METHODS).describe('How the disk is captured: "stream" (one pass, used blocks only), "mount" (qemu-img onto a davfs2 mount) or "auto" (a stream, and the mount where a stream can not work)').optional(),
  full: z.boolean().describe('Take also what file systems say is free, deleted data among it: for forensics').optional(),
  on_read_error: z.enum(READ_ERROR_POLICIES).describe('A part of the disk that can not be read fails the capture, or is zeros in the image and recorded in its report').optional(),
  compression: z.enum(COMPRESSIONS).describe('On the wire only; "auto": where the link is slower than the compressor').optional(),
  intermediate_storage: z.enum(INTERMEDIATE_STORAGES).describe('A stream goes straight to the image service ("relay"), or onto the spool first, so that the server is back before the upload; "auto": by room and measured speeds').optional(),
  max_downtime: durationSchema.describe('Seconds, or a number with a unit such as 90s, 15m or 1h: when the server would be down for longer it is booted back and the snapshot fails').optional(),
});
export type SnapshotOptions = z.infer<typeof snapshotOptionsSchema>;
export const SNAPSHOT_OPTION_NAMES = Object.keys(snapshotOptionsSchema.shape) as (keyof SnapshotOptions)[];

/** What was found in a part of the disk, and what the image has of it. */
export const diskPartSchema = z.object({
  /** For example `partition 2`, `partition table`, `gap`. */
  what: z.string(),
  offset_bytes: z.number(),
  size_bytes: z.number(),
  /** Kind of file system or other content; null: nothing was recognized. */
  content: z.string().nullable(),
  treatment: z.enum(['mapped', 'read in full', 'left out']),
  /** Bytes that the image has of it, when they are known without reading it. */
  used_bytes: z.number().nullable(),
  /** A line for a person: `ext4, clean, 1.66 of 7.9 GiB used, mapped`. */
  summary: z.string(),
});
export type DiskPart = z.infer<typeof diskPartSchema>;

/** What the agent expects before it begins; speeds in bytes a second, measured shortly before. */
export const capturePredictionSchema = z.object({
  image_bytes: z.number(),
  read_bytes: z.number(),
  disk_bytes_per_s: z.number(),
  link_bytes_per_s: z.number().nullable(),
  /** Of what is left of the capture. */
  duration_s: z.number(),
});
export type CapturePrediction = z.infer<typeof capturePredictionSchema>;

export const captureReportSchema = z.object({
  method: z.enum(['mount', 'stream']),
  /** Why the mount was used although a stream was asked for. */
  fallback_reason: z.string().nullable(),
  parts: z.array(diskPartSchema),
  bytes_read: z.number().nullable(),
  wire_bytes: z.number().nullable(),
  compression: z.enum(['none', 'zstd']),
  attempts: z.number().int(),
  /** What is zeros in the image because it could not be read. */
  unreadable: z.array(z.object({ offset_bytes: z.number(), size_bytes: z.number() })),
  prediction: capturePredictionSchema.nullable(),
});
export type CaptureReport = z.infer<typeof captureReportSchema>;
