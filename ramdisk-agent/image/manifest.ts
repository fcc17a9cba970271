import { existsSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { digestFile } from './file-digest.ts';
import { VARIANTS } from './package-list.ts';

export const MANIFEST_FILE = 'manifest.json';
/** What a ramdisk directory holds besides its manifest. */
export const ARTIFACTS = ['vmlinuz', 'initramfs', 'grub-local.efi', 'undionly.kpxe', 'snponly.efi', 'shimx64.efi', 'gcdx64.efi'] as const;

/** What the packages of a variant have come to; kept with the base layer in the cache. */
export const baseReportSchema = z.object({
  kernel: z.string(),
  modules: z.number().int(),
  /** Modules of real hardware that this variant's kernel does not have. */
  modules_absent: z.array(z.string()),
  /** Files that modules may ask for and that no package has had. */
  firmware_missing: z.array(z.string()),
  unpacked_bytes: z.number().int(),
});
export type BaseReport = z.infer<typeof baseReportSchema>;

export const manifestSchema = baseReportSchema.extend({
  format: z.literal(1),
  /** The same inputs give the same key. */
  key: z.string(),
  variant: z.enum(VARIANTS),
  node: z.string(),
  agent: z.string(),
  /** Packages that the package sources of the build machine do not have. */
  firmware_packages_unavailable: z.array(z.string()),
  files: z.record(z.enum(ARTIFACTS), z.object({ size_bytes: z.number().int(), sha256: z.string() })),
  packages: z.array(z.object({ name: z.string(), version: z.string(), sha256: z.string() })),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** The manifest of a ramdisk directory; null when there is none, or one that this version does not know. */
export function readManifest(directory: string): Manifest | null {
  const path = join(directory, MANIFEST_FILE);
  if (!existsSync(path)) return null;
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null; // of another version, or damaged: the ramdisk is built anew
  }
}

/** Sizes and digests of the artifacts as they are in the directory. */
export async function describeFiles(directory: string): Promise<Manifest['files']> {
  const described = await Promise.all(ARTIFACTS.map(async (name) => [name, { size_bytes: (await stat(join(directory, name))).size, sha256: await digestFile(join(directory, name)) }] as const));
  return Object.fromEntries(described) as Manifest['files'];
}

/** Whether the directory holds exactly what its manifest says, made from the inputs of this key. */
export async function isCurrent(directory: string, key: string): Promise<boolean> {
  const manifest = readManifest(directory);
  if (manifest?.key !== key || !ARTIFACTS.every((name) => existsSync(join(directory, name)))) return false;
  return JSON.stringify(await describeFiles(directory)) === JSON.stringify(manifest.files);
}
