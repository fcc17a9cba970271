import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../protocol/program.ts';
import type { AptArchive } from './apt-archive.ts';
import type { DebianPackage } from './apt-output.ts';
import { writeBootLoaders } from './boot-loaders.ts';
import { addCertificates } from './certificates.ts';
import { writeInitramfs } from './compression.ts';
import { createEmptyIcuData } from './empty-icu-data.ts';
import { withoutSymbols } from './elf-file.ts';
import { ImageTree } from './image-tree.ts';
import { addKernelModules } from './kernel-modules.ts';
import { baseReportSchema, type BaseReport } from './manifest.ts';
import { DATA_PATHS, LOADED_LIBRARIES, PROGRAMS, type Variant } from './package-list.ts';
import { addSharedLibraries } from './shared-libraries.ts';
import { MERGED_DIRECTORIES, UnpackedRoot } from './unpacked-root.ts';

const BUSYBOX_TIMEOUT_MS = 30_000;
/** A cloud image stays well below 60 MB; higher levels save little and take long on a small machine. */
const ZSTD_LEVEL = 9;
export const BASE_FILES = { vmlinuz: 'vmlinuz', initramfs: 'base.cpio.zst', report: 'base.json' } as const;

export interface BaseInputs {
  variant: Variant;
  packages: readonly DebianPackage[];
  /** The Node.js program for the ramdisk. */
  nodePath: string;
}

/**
 * Everything that does not come from the project: programs and libraries of the packages, Node.js, modules; and with it
 * kernel and boot loaders. Made once for a key and kept in the cache.
 */
export class BaseLayer {
  readonly directory: string;
  readonly #cache: string;
  readonly #archive: AptArchive;
  readonly #signal: AbortSignal;
  readonly #say: (text: string) => void;

  constructor(cache: string, key: string, archive: AptArchive, signal: AbortSignal, say: (text: string) => void) {
    this.#cache = cache;
    this.directory = join(cache, 'bases', key);
    this.#archive = archive;
    this.#signal = signal;
    this.#say = say;
  }

  /** Makes `directory` hold BASE_FILES and the boot loaders. */
  async provide(inputs: BaseInputs): Promise<BaseReport> {
    if (!existsSync(this.directory)) await this.#build(inputs);
    return baseReportSchema.parse(JSON.parse(readFileSync(join(this.directory, BASE_FILES.report), 'utf8')));
  }

  async #build({ variant, packages, nodePath }: BaseInputs): Promise<void> {
    await this.#archive.fetch(packages);
    await mkdir(join(this.#cache, 'bases'), { recursive: true });
    const work = await mkdtemp(join(this.#cache, 'bases/.building-'));
    try {
      this.#say(`unpacking ${packages.length} packages`);
      const root = new UnpackedRoot(join(work, 'root'), this.#signal);
      await root.unpack(packages.map((found) => this.#archive.pathOf(found)));
      const result = join(work, 'result');
      await mkdir(result);
      const tree = new ImageTree();
      const modules = await addKernelModules(tree, root, variant, join(work, 'modules'), this.#signal);
      await addPrograms(tree, root, nodePath, this.#signal);
      await copyFile(join(root.path, 'boot', `vmlinuz-${modules.release}`), join(result, BASE_FILES.vmlinuz));
      await writeBootLoaders(root, result);
      this.#say(`packing kernel ${modules.release}, ${modules.count} modules and ${tree.paths().length} files`);
      await writeInitramfs(tree, root, ZSTD_LEVEL, join(result, BASE_FILES.initramfs), this.#signal);
      const report: BaseReport = { kernel: modules.release, modules: modules.count, modules_absent: modules.absent, firmware_missing: modules.firmwareMissing, unpacked_bytes: tree.sizeBytes() };
      await writeFile(join(result, BASE_FILES.report), JSON.stringify(report));
      await rename(result, this.directory).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // another build of the same key was faster
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
}

/** Programs, what they load and read, and busybox for all other commands. */
async function addPrograms(tree: ImageTree, root: UnpackedRoot, nodePath: string, signal: AbortSignal): Promise<void> {
  for (const name of MERGED_DIRECTORIES) {
    tree.addDirectory(`usr/${name}`);
    tree.addLink(name, `usr/${name}`);
  }
  for (const path of PROGRAMS.flatMap((pattern) => root.findPrograms(pattern))) tree.addUnpacked(root, path);
  for (const path of DATA_PATHS) tree.addUnpacked(root, path);
  tree.addFile('usr/bin/node', withoutSymbols(readFileSync(nodePath)), 0o755);
  addSharedLibraries(tree, root, LOADED_LIBRARIES);
  replaceIcuData(tree);
  addCertificates(tree, root);
  const { stdout } = await runProgram(join(root.path, root.findProgram('busybox')), ['--list-full'], { timeoutMs: BUSYBOX_TIMEOUT_MS, signal });
  addBusyboxCommands(tree, stdout.trim().split('\n'));
}

function replaceIcuData(tree: ImageTree): void {
  for (const path of tree.paths()) {
    const [, soname, minor] = /\/(libicudata\.so\.\d+)(\.\d+)?$/.exec(path) ?? [];
    if (soname !== undefined && minor !== undefined) tree.addFile(path, createEmptyIcuData(soname));
  }
}

/** Links to busybox where no real program has the name. */
export function addBusyboxCommands(tree: ImageTree, paths: readonly string[]): void {
  const real = new Set(tree.paths().map((path) => path.split('/').at(-1)!));
  for (const path of paths) {
    const [, directory, name] = /^(?:usr\/)?(s?bin)\/(.+)$/.exec(path) ?? [];
    if (directory !== undefined && name !== undefined && !real.has(name)) tree.addLink(`usr/${directory}/${name}`, '/usr/bin/busybox');
  }
}
