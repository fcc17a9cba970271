/** What an image was made of: goes with it as the image property `metalshot_manifest` (JSON). */
import { z } from 'zod';
import { captureReportSchema } from './capture.ts';
import { BOOT_MODES } from './inventory.ts';

export const MANIFEST_PROPERTY = 'metalshot_manifest';

export const imageManifestSchema = z.object({
  version: z.literal(1),
  node_uuid: z.string(),
  snapshot_uuid: z.string(),
  captured_at: z.string(),
  agent_version: z.string().nullable(),
  boot_mode: z.enum(BOOT_MODES).nullable(),
  disk: z.object({ name: z.string(), serial: z.string().nullable(), wwn: z.string().nullable(), model: z.string().nullable(), size_bytes: z.number(), sector_size_bytes: z.number() }),
  /** Kernel drivers that the machine's disks and network cards need. */
  storage_drivers: z.array(z.string()),
  network_drivers: z.array(z.string()),
  /** How the disk was captured, and its layout, part by part; absent from images of before. */
  capture: captureReportSchema
    .pick({ method: true, fallback_reason: true, parts: true, unreadable: true })
    .extend({ /** Parts that the property has no room for. */ parts_omitted: z.number() })
    .optional(),
  image: z.object({ size_bytes: z.number(), virtual_size_bytes: z.number(), os_hash_algo: z.string(), os_hash_value: z.string() }),
});
export type ImageManifest = z.infer<typeof imageManifestSchema>;

/** The manifest of an image's properties; null when it has none or one that this version does not understand. */
export function manifestOf(properties: Readonly<Record<string, unknown>>): ImageManifest | null {
  const text = properties[MANIFEST_PROPERTY];
  if (typeof text !== 'string') return null;
  try {
    return imageManifestSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null; // somebody else's words: the plan then warns that nothing is known
  }
}
