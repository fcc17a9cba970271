import { z } from 'zod';
import { COMPRESSIONS, INTERMEDIATE_STORAGES, READ_ERROR_POLICIES, SNAPSHOT_METHODS } from '../protocol/capture.ts';
import { GIB, seconds } from './config-values.ts';

/** `snapshot`: how disks are captured, where images go, and the limits of both. */
export const snapshotSchema = z
  .strictObject({
    /** Captures at once; more wait before their server is powered off. */
    max_concurrent: z.number().int().positive().default(2),
    /** Absolute limit of a capture, from the accepted command to its end. */
    capture_timeout_s: seconds.default(4 * 3600),
    /** Without any progress for so long a capture fails. */
    stall_timeout_s: seconds.default(300),
    poll_interval_s: seconds.default(5),
    /** How disks are captured, where neither the request nor the node says: see protocol/capture. */
    method: z.enum(SNAPSHOT_METHODS).default('auto'),
    on_read_error: z.enum(READ_ERROR_POLICIES).default('fail'),
    compression: z.enum(COMPRESSIONS).default('auto'),
    intermediate_storage: z.enum(INTERMEDIATE_STORAGES).default('auto'),
    /** How often a stream is begun, the first time included. */
    stream_attempts: z.number().int().positive().default(3),
    /** Bytes a second that all streams together, and each of them, may bring; absent: as many as come. */
    max_bandwidth_bytes_s: z.number().int().positive().optional(),
    max_bandwidth_per_snapshot_bytes_s: z.number().int().positive().optional(),
    /** Seconds that a server may be down for a snapshot, where neither the request nor the node says; absent: as long as it takes. */
    max_downtime_s: seconds.optional(),
    /** Directories into which snapshots with a `file:` URL as image_ref may be written. */
    file_roots: z.array(z.string()).default([]),
    /** `https:` URLs as image_ref: where images may be PUT, and with what. */
    https_destinations: z
      .array(
        z.strictObject({
          /** What the URL has to begin with. */
          prefix: z.url({ protocol: /^https$/ }),
          username: z.string().optional(),
          password_file: z.string().optional(),
          /** File with a bearer token. */
          token_file: z.string().optional(),
          ca_file: z.string().optional(),
        }),
      )
      .default([]),
    /** `s3://BUCKET/KEY` as image_ref. */
    s3: z
      .strictObject({
        endpoint: z.url({ protocol: /^https?$/ }),
        region: z.string().default('us-east-1'),
        access_key_id: z.string(),
        secret_access_key_file: z.string(),
        buckets: z.array(z.string()).min(1),
        ca_file: z.string().optional(),
        path_style: z.boolean().default(true),
      })
      .optional(),
    /** Quota of one snapshot on the share. */
    max_image_bytes: z.number().int().positive().default(1024 * GIB),
    /** What the spool's file system must keep free; checked before a node is touched. */
    spool_reserve_bytes: z.number().int().nonnegative().default(2 * GIB),
    spool_directory: z.string().optional(),
    upload_timeout_s: seconds.default(4 * 3600),
    upload_attempts: z.number().int().positive().default(8),
    upload_retry_pause_s: seconds.default(5),
    /** How long the image service may take to roll an aborted upload back. */
    requeue_timeout_s: seconds.default(60),
  });
export type SnapshotConfig = z.infer<typeof snapshotSchema>;
