import { createReadStream, createWriteStream, existsSync, readFileSync, readdirSync } from 'node:fs';
import { copyFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { AGENT_VERSION } from '../agent-version.ts';
import { bundleAgent } from './agent-bundle.ts';
import { createAgentLayer } from './agent-layer.ts';
import { AptArchive } from './apt-archive.ts';
import { BASE_FILES, BaseLayer } from './base-layer.ts';
import { BOOT_LOADERS } from './boot-loaders.ts';
import { paddingAfter } from './compression.ts';
import { digestFile, digestOf } from './file-digest.ts';
import { describeFiles, isCurrent, MANIFEST_FILE, type Manifest, readManifest } from './manifest.ts';
import { CONTENT_PACKAGES, FIRMWARE_PACKAGES, KERNEL_PACKAGES, TOOL_PACKAGES, type Variant } from './package-list.ts';
import { checkReplaceable, publishDirectory } from './publication.ts';

export interface BuildOptions {
  variant: Variant;
  /** Absolute. */
  output: string;
  cache: string;
  /** Where package.json of the project is. */
  projectRoot: string;
  node: { path: string; version: string };
  signal: AbortSignal;
  /** Called with a line for people. */
  say: (text: string) => void;
}

export interface BuildResult {
  manifest: Manifest;
  /** False: the output directory held it already. */
  built: boolean;
}

/** Makes the ramdisk of these inputs be in the output directory. May be called again at any time. */
export async function buildRamdisk({ variant, output, cache, projectRoot, node, signal, say }: BuildOptions): Promise<BuildResult> {
  checkReplaceable(output);
  const archive = new AptArchive(cache, signal, say);
  const { packages, unavailable } = await archive.select([KERNEL_PACKAGES[variant], ...CONTENT_PACKAGES, ...TOOL_PACKAGES], FIRMWARE_PACKAGES[variant]);
  const baseKey = digestOf([variant, packages, await digestFile(node.path), digestBuilder()]);
  const agentLayer = createAgentLayer(projectRoot, await bundleAgent(projectRoot), `Metalshot ${AGENT_VERSION} ${variant}, base ${baseKey.slice(0, 12)}`);
  const key = digestOf([baseKey, unavailable, node.version, digestOf(agentLayer)]);
  const present = (await isCurrent(output, key)) ? readManifest(output) : null;
  if (present) return { manifest: present, built: false };

  const base = new BaseLayer(cache, baseKey, archive, signal, say);
  const report = await base.provide({ variant, packages, nodePath: node.path });
  await publishDirectory(output, async (building) => {
    for (const name of [BASE_FILES.vmlinuz, ...BOOT_LOADERS]) await copyFile(join(base.directory, name), join(building, name));
    await writeLayers(join(base.directory, BASE_FILES.initramfs), agentLayer, join(building, 'initramfs'));
    const manifest: Manifest = {
      format: 1,
      key,
      variant,
      node: node.version,
      agent: AGENT_VERSION,
      ...report,
      firmware_packages_unavailable: unavailable,
      files: await describeFiles(building),
      packages: packages.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
    };
    await writeFile(join(building, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  });
  return { manifest: readManifest(output)!, built: true };
}

/**
 * One archive after the other: the kernel unpacks both (its Documentation/driver-api/early-userspace/buffer-format.rst). A
 * third follows at boot, the conductor's, and a kernel that is started by UEFI puts that right behind, without padding.
 */
async function writeLayers(basePath: string, agentLayer: Buffer, path: string): Promise<void> {
  await pipeline(createReadStream(basePath), createWriteStream(path));
  const padding = paddingAfter((await stat(basePath)).size);
  await writeFile(path, Buffer.concat([padding, agentLayer, paddingAfter(agentLayer.length)]), { flag: 'a' });
}

/** Of the programs of this folder, and the archive writer: what they choose and how they pack belongs to the inputs. */
function digestBuilder(): string {
  const directory = dirname(fileURLToPath(import.meta.url));
  const names = readdirSync(directory).filter((name) => /\.(js|ts)$/.test(name)).sort();
  const paths = [...names, ...['js', 'ts'].map((ending) => `../../protocol/cpio-archive.${ending}`)].filter((path) => existsSync(join(directory, path)));
  return digestOf(paths.map((path) => [path, readFileSync(join(directory, path), 'utf8')]));
}
