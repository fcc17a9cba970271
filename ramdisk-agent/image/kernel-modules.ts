import { copyFile, mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OperationFailedError } from '../../protocol/errors.ts';
import { readElfSection } from './elf-file.ts';
import type { ImageTree } from './image-tree.ts';
import { chooseModules, parseModuleIndex } from './module-closure.ts';
import { MODULES } from './module-list.ts';
import type { Variant } from './package-list.ts';
import { UnpackedRoot } from './unpacked-root.ts';

const DEPMOD_TIMEOUT_MS = 2 * 60_000;
/** Of the kernel's package; depmod reads them and modprobe too. */
const KERNEL_LISTS = ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'];

export interface ModuleReport {
  release: string;
  count: number;
  /** What was wanted and this kernel does not have. */
  absent: string[];
  /** Firmware files that modules may ask for and no package has. */
  firmwareMissing: string[];
}

/**
 * Adds the variant's modules with all that they depend on, depmod's lists of them, and the firmware that they name.
 * @param staging an empty directory. @throws OperationFailedError when the kernel lacks a required module.
 */
export async function addKernelModules(tree: ImageTree, root: UnpackedRoot, variant: Variant, staging: string, signal: AbortSignal): Promise<ModuleReport> {
  const release = findRelease(root);
  const directory = `usr/lib/modules/${release}`;
  await root.run('depmod', ['--basedir', root.path, release], DEPMOD_TIMEOUT_MS);
  const index = parseModuleIndex((name) => readFileSync(join(root.path, directory, name), 'utf8'));
  const required = chooseModules(index, MODULES[variant].required);
  if (required.absent.length > 0) throw new OperationFailedError(`the kernel ${release} has neither as modules nor built in: ${required.absent.join(', ')}`);
  const wanted = chooseModules(index, MODULES[variant].wanted);
  const paths = [...new Set([...required.paths, ...wanted.paths])].sort();

  const chosen = new UnpackedRoot(staging, signal);
  await chosen.unpack([]);
  for (const path of [...paths, ...KERNEL_LISTS]) {
    await mkdir(dirname(join(staging, directory, path)), { recursive: true });
    await copyFile(join(root.path, directory, path), join(staging, directory, path));
  }
  await root.run('depmod', ['--basedir', staging, release], DEPMOD_TIMEOUT_MS); // lists of these modules only
  tree.addUnpacked(chosen, directory);
  return { release, count: paths.length, absent: wanted.absent, firmwareMissing: addFirmware(tree, root, paths.map((path) => join(root.path, directory, path))) };
}

function findRelease(root: UnpackedRoot): string {
  const releases = root.list('usr/lib/modules');
  if (releases.length !== 1) throw new OperationFailedError(`expected the modules of one kernel in the packages, found ${releases.join(', ') || 'none'}`);
  return releases[0]!;
}

/** Returns the files that are in no package. */
function addFirmware(tree: ImageTree, root: UnpackedRoot, modules: readonly string[]): string[] {
  const named = new Set(modules.flatMap((module) => readFirmwareNames(readFileSync(module))));
  const missing = [];
  for (const name of [...named].sort()) {
    if (root.has(`usr/lib/firmware/${name}`)) tree.addUnpacked(root, `usr/lib/firmware/${name}`);
    else missing.push(name);
  }
  return missing;
}

/** Of a module's `.modinfo` section: texts `firmware=PATH`, ended by zero bytes. */
export function readFirmwareNames(module: Buffer): string[] {
  const texts = readElfSection(module, '.modinfo')?.toString('latin1').split('\0') ?? [];
  return texts.filter((text) => text.startsWith('firmware=')).map((text) => text.slice('firmware='.length));
}
