import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OperationFailedError, messageOf } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { digestFile } from './file-digest.ts';
import { findLibraryPackages, parseDependencies, parsePolicy, parseUris, type DebianPackage } from './apt-output.ts';

const LOOK_UP_TIMEOUT_MS = 60_000;
const LISTS_TIMEOUT_MS = 5 * 60_000;
const DOWNLOAD_TIMEOUT_MS = 20 * 60_000;
const FETCH_OPTIONS = ['Acquire::Retries=4', 'Acquire::http::Timeout=30', 'Acquire::https::Timeout=30', 'APT::Sandbox::User=root'];
const DEPENDENCY_KINDS = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`);

export interface AptSelection {
  /** With the libraries that they depend on, sorted by name. */
  packages: DebianPackage[];
  /** Wanted packages that no package source of this machine has. */
  unavailable: string[];
}

/**
 * The Debian packages that this machine's package sources offer, as apt trusts them: looked up and fetched, nothing is
 * installed. Where the system's package lists are missing or too old, lists of our own are read into the cache directory.
 */
export class AptArchive {
  readonly #cache: string;
  readonly #signal: AbortSignal;
  readonly #say: (text: string) => void;
  #ownLists = false;

  constructor(cache: string, signal: AbortSignal, say: (text: string) => void) {
    this.#cache = cache;
    this.#signal = signal;
    this.#say = say;
  }

  /** Versions and digests of the newest packages. @throws OperationFailedError when a required one is not to be had. */
  async select(required: readonly string[], wanted: readonly string[]): Promise<AptSelection> {
    return this.#withCurrentLists(async () => {
      const candidates = parsePolicy(await this.#run('apt-cache', ['policy', ...required, ...wanted], LOOK_UP_TIMEOUT_MS));
      const absent = required.filter((name) => !candidates.has(name));
      if (absent.length > 0) throw new OperationFailedError(`the package sources of this machine (apt) do not have ${absent.join(', ')}: a Debian 12 system for amd64 is needed, with "main" and "security" in its sources`);
      const roots = [...required, ...wanted].filter((name) => candidates.has(name));
      const graph = parseDependencies(await this.#run('apt-cache', ['depends', '--recurse', ...DEPENDENCY_KINDS, ...roots], LOOK_UP_TIMEOUT_MS));
      const names = findLibraryPackages(roots, graph);
      const packages = await this.#inEmptyDirectory(async (directory) => parseUris(await this.#run('apt-get', ['download', '--print-uris', ...names], LOOK_UP_TIMEOUT_MS, directory)));
      const unnamed = names.filter((name) => !packages.some((found) => found.name === name));
      if (unnamed.length > 0) throw new OperationFailedError(`apt names no address and SHA-256 for ${unnamed.join(', ')}`);
      return { packages, unavailable: wanted.filter((name) => !candidates.has(name)) };
    });
  }

  /** Makes the packages' files be in the cache, each checked against the digest that apt has named. */
  async fetch(packages: readonly DebianPackage[]): Promise<void> {
    const missing = packages.filter((found) => !existsSync(this.pathOf(found)));
    if (missing.length === 0) return;
    this.#say(`fetching ${missing.length} Debian packages (${Math.ceil(missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 1e6)} MB)`);
    await this.#withCurrentLists(() =>
      this.#inEmptyDirectory(async (directory) => {
        await this.#run('apt-get', ['download', '--quiet', ...missing.map(({ name, version }) => `${name}=${version}`)], DOWNLOAD_TIMEOUT_MS, directory);
        const files = new Map(await Promise.all((await readdir(directory)).map(async (file) => [await digestFile(join(directory, file)), file] as const)));
        for (const found of missing) {
          const file = files.get(found.sha256);
          if (file === undefined) throw new OperationFailedError(`${found.name} ${found.version} was fetched with another SHA-256 than ${found.sha256}, which the package list names`);
          await rename(join(directory, file), this.pathOf(found));
        }
      }),
    );
  }

  /** Where `fetch` puts the package's file. */
  pathOf({ sha256 }: DebianPackage): string {
    return join(this.#cache, 'packages', `${sha256}.deb`);
  }

  /** A failure may mean that the system's lists are absent or name versions that the archive has dropped: once more, with lists of our own. */
  async #withCurrentLists<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (this.#ownLists || this.#signal.aborted) throw error;
      this.#say(`reading the package lists anew (${messageOf(error).slice(0, 300)})`);
      this.#ownLists = true;
      await mkdir(join(this.#cache, 'apt/lists/partial'), { recursive: true });
      await this.#run('apt-get', ['-o', 'APT::Update::Error-Mode=any', '--quiet', 'update'], LISTS_TIMEOUT_MS);
      return work();
    }
  }

  async #inEmptyDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    await mkdir(join(this.#cache, 'packages'), { recursive: true });
    const directory = await mkdtemp(join(this.#cache, 'packages/.fetching-'));
    try {
      return await work(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** With this process's environment, which may name a proxy. */
  async #run(program: string, args: readonly string[], timeoutMs: number, cwd?: string): Promise<string> {
    const index = join(this.#cache, this.#ownLists ? 'apt/own-index' : 'apt/index');
    await mkdir(join(index, 'archives/partial'), { recursive: true });
    // apt's parsed lists are kept: without them each call takes as long as reading all lists, and some systems keep none
    const indexOptions = [`Dir::Cache=${index}`, 'Dir::Cache::pkgcache=pkgcache.bin', 'Dir::Cache::srcpkgcache=srcpkgcache.bin'];
    const listOptions = this.#ownLists ? [`Dir::State::lists=${join(this.#cache, 'apt/lists')}`] : [];
    const options = [...FETCH_OPTIONS, ...indexOptions, ...listOptions].flatMap((option) => ['-o', option]);
    const { stdout } = await runProgram('env', ['LC_ALL=C', program, ...options, ...args], { timeoutMs, signal: this.#signal, cwd });
    return stdout;
  }
}
