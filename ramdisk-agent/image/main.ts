#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import { KERNEL_PACKAGES, VARIANTS, type Variant } from './package-list.ts';
import type { Manifest } from './manifest.ts';
import { buildRamdisk } from './ramdisk-build.ts';

const HELP = `metalshot ramdisk: makes what machines boot for a snapshot or a deployment

usage: npm run ramdisk -- [--variant VARIANT] [--output DIRECTORY] [--cache DIRECTORY]

  --variant VARIANT   generic (default): kernel and drivers for servers
                      cloud: smaller, for virtual machines
  --output DIRECTORY  default var/ramdisk; what the conductor's boot.ramdisk_directory names. It is
                      replaced as a whole, and only when what it is made from has changed
  --cache DIRECTORY   packages and built parts; default metalshot/ramdisk in $XDG_CACHE_HOME or ~/.cache
  --help              this text

The directory then holds vmlinuz, initramfs, grub-local.efi, undionly.kpxe, snponly.efi, shimx64.efi, gcdx64.efi and manifest.json
(versions, sizes, SHA-256). Debian packages are fetched by apt from the package sources of this machine and
are not installed. The same packages, Node.js and sources give the same bytes.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { variant: { type: 'string', default: 'generic' }, output: { type: 'string' }, cache: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new InvalidParameterError(`the ramdisk is for amd64 and takes Node.js from the machine that builds it: expected Linux on amd64, found ${process.platform} on ${process.arch}`);
  const projectRoot = findProjectRoot();
  const output = resolve(values.output ?? join(projectRoot, 'var/ramdisk'));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  const startedAt = performance.now();
  const { manifest, built } = await buildRamdisk({
    variant: readVariant(values.variant),
    output,
    cache: resolve(values.cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'metalshot/ramdisk')),
    projectRoot,
    node: { path: process.execPath, version: process.versions.node },
    signal: stop.signal,
    say: (text) => process.stdout.write(`ramdisk: ${text}\n`),
  });
  report(manifest, output, built ? `built in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s` : 'up to date');
}

function readVariant(text: string): Variant {
  const found = VARIANTS.find((variant) => variant === text);
  if (found === undefined) throw new InvalidParameterError(`--variant: expected ${Object.keys(KERNEL_PACKAGES).join(' or ')}, found "${text}"`);
  return found;
}

/** From dist/ or from the sources: the nearest directory above with the project's package.json. */
function findProjectRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    if (directory === '/') throw new InvalidParameterError('expected to run from within the Metalshot project: there is no package.json in the directories above this program');
    directory = dirname(directory);
  }
  return directory;
}

function report(manifest: Manifest, output: string, how: string): void {
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const lines = [
    `${output}: ${manifest.variant}, kernel ${manifest.kernel}, Node.js ${manifest.node}, ${how}`,
    `initramfs ${megabytes(manifest.files.initramfs.size_bytes)}, vmlinuz ${megabytes(manifest.files.vmlinuz.size_bytes)}`,
    ...(manifest.firmware_packages_unavailable.length > 0 ? [`firmware packages that the package sources of this machine do not have (Debian: non-free-firmware): ${manifest.firmware_packages_unavailable.join(', ')}; devices that need them may not work`] : []),
    ...(manifest.firmware_missing.length > 0 ? [`${manifest.firmware_missing.length} firmware files that drivers may ask for are in no package, see firmware_missing in manifest.json`] : []),
  ];
  for (const line of lines) process.stdout.write(`ramdisk: ${line}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`ramdisk: ${messageOf(error)}\n`);
  process.exitCode = 1;
});
