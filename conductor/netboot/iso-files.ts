import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { InvalidParameterError, messageOf, TemporarilyUnavailableError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { BootMachine } from '../drivers/boot-files.ts';
import { sendFile } from './file-reply.ts';
import { buildIso } from './iso-image.ts';
import { checkIsoPrograms, findSignedLoaders } from './iso-loaders.ts';
import { composeBootInterface, composeKernelCommandLine } from './kernel-command-line.ts';
import type { RamdiskImages } from './ramdisk-images.ts';
import { hasSecureBoot } from './secure-boot.ts';

export interface IsoFilesParts {
  /** Ours alone; made when it is not there. */
  directory: string;
  images: RamdiskImages;
  /** Where signed boot loaders may be. */
  ramdiskDirectory: string;
  /** The small initramfs. */
  archive: Buffer;
  /** Scheme, host and port by which BMCs reach `handler`, mounted so that its paths begin with `/iso/`. */
  baseUrl: string;
  /** By which the ramdisk reaches the conductor. */
  apiUrl: string;
  kernelParameters: string;
  log: Logger;
}

const URL_PATH = /\/iso\/([0-9a-f]{32})\/ramdisk\.iso$/;
/** `<node>_<secret>.iso`: a conductor that starts anew still knows whose it is. */
const FILE_NAME = /^([0-9a-f-]{36})_([0-9a-f]{32})\.iso$/;
/** GRUB's own files and the ISO's tables. */
const OVERHEAD_BYTES = 48 * 1024 ** 2;
/** A BMC that takes no byte for so long is cut off. */
const IDLE_TIMEOUT_MS = 300_000;

/**
 * The ISOs from which machines boot the ramdisk by their BMC's virtual media: one per node that is prepared for it. Each has
 * the nonce of its boot in it, so it is found by an unguessable name only, which is told to the BMC and nobody else.
 */
export class IsoFiles {
  readonly #parts: IsoFilesParts;

  constructor(parts: IsoFilesParts) {
    this.#parts = parts;
  }

  /** @throws InvalidParameterError naming what making an ISO lacks. */
  async check(): Promise<void> {
    await checkIsoPrograms();
    await this.#parts.images.currentKey();
  }

  /** @throws InvalidParameterError naming what is wrong with this machine. */
  async checkMachine(machine: BootMachine): Promise<void> {
    this.#commandLine(machine, 'x'.repeat(43));
    if (hasSecureBoot(machine.node) && (await findSignedLoaders(this.#parts.ramdiskDirectory)) === null) {
      throw new InvalidParameterError(`The node has the capability secure_boot, and its firmware would not start an ISO without signed boot loaders: expected shimx64.efi and gcdx64.efi in ${this.#parts.ramdiskDirectory}. Build the ramdisk anew with "npm run ramdisk", or switch Secure Boot off in the machine's firmware and take the capability away.`);
    }
  }

  /** Makes the node's ISO, in place of one that it had. @returns the URL for its BMC. @throws MetalshotError; the one before is gone then, too. */
  async provideIso(machine: BootMachine, nonce: string, signal: AbortSignal): Promise<string> {
    const { directory, baseUrl, log } = this.#parts;
    const { uuid } = machine.node;
    const commandLine = this.#commandLine(machine, nonce);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await this.removeIso(uuid);
    const secret = randomBytes(16).toString('hex');
    const stagingDirectory = await mkdtemp(join(directory, 'staging-'));
    try {
      const built = join(stagingDirectory, 'ramdisk.iso');
      await this.#build(built, stagingDirectory, commandLine, signal);
      await rename(built, join(directory, `${uuid}_${secret}.iso`));
    } finally {
      await rm(stagingDirectory, { recursive: true, force: true });
    }
    log.info({ node: uuid }, 'ISO for virtual media made');
    return `${baseUrl}/iso/${secret}/ramdisk.iso`;
  }

  isIso(url: string): boolean {
    return URL_PATH.test(url);
  }

  async removeIso(nodeUuid: string): Promise<void> {
    await this.#removeWhere((name) => FILE_NAME.exec(name)?.[1] === nodeUuid);
  }

  /** Removes what a conductor before this one left: half-made ISOs, and those of nodes other than `expected` (UUIDs). Before any is made. */
  async removeOrphans(expected: Iterable<string>): Promise<void> {
    const kept = new Set(expected);
    await this.#removeWhere((name) => !kept.has(FILE_NAME.exec(name)?.[1] ?? ''));
  }

  /** Answers GET and HEAD, also for a range, below `/iso/`. */
  readonly handler = (request: IncomingMessage, response: ServerResponse): void => {
    this.#serve(request, response).catch((error: unknown) => {
      this.#parts.log.info({ reason: messageOf(error) }, 'an ISO was not sent to its end');
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  };

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
      return;
    }
    // a router may have taken the mount's part away from url
    const path = 'originalUrl' in request && typeof request.originalUrl === 'string' ? request.originalUrl : (request.url ?? '');
    const secret = URL_PATH.exec(path.split('?', 1)[0] ?? '')?.[1];
    const name = secret === undefined ? undefined : (await this.#names()).find((candidate) => FILE_NAME.exec(candidate)?.[2] === secret);
    const handle = name === undefined ? null : await open(join(this.#parts.directory, name)).catch(nullIfMissing);
    if (!handle) {
      response.writeHead(404).end();
      return;
    }
    try {
      response.setTimeout(IDLE_TIMEOUT_MS, () => response.destroy());
      await sendFile(request, response, { handle, sizeBytes: (await handle.stat()).size, contentType: 'application/octet-stream' });
    } finally {
      await handle.close();
    }
  }

  async #build(path: string, stagingDirectory: string, commandLine: string, signal: AbortSignal): Promise<void> {
    const { images, ramdiskDirectory, archive } = this.#parts;
    const key = await images.currentKey();
    const vmlinuz = await images.open(key, 'vmlinuz');
    try {
      const initramfs = await images.open(key, 'initramfs');
      try {
        if (!vmlinuz || !initramfs) throw new TemporarilyUnavailableError('The ramdisk was replaced just now; try again');
        await this.#requireRoom(vmlinuz.sizeBytes + initramfs.sizeBytes + archive.length + OVERHEAD_BYTES);
        await buildIso(path, stagingDirectory, { vmlinuz: vmlinuz.handle, initramfs: initramfs.handle, archive, commandLine, signedLoaders: await findSignedLoaders(ramdiskDirectory) }, signal);
      } finally {
        await initramfs?.handle.close();
      }
    } finally {
      await vmlinuz?.handle.close();
    }
  }

  #commandLine(machine: BootMachine, nonce: string): string {
    const { apiUrl, kernelParameters } = this.#parts;
    return `${composeKernelCommandLine({ ...machine, apiUrl, nonce, kernelParameters })} ${composeBootInterface(machine)}`;
  }

  async #requireRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#parts.directory);
    const freeBytes = bavail * bsize;
    if (freeBytes < bytes) throw new TemporarilyUnavailableError(`There is no room for the node's ISO: expected ${bytes} bytes, ${freeBytes} are free in ${this.#parts.directory}. Free space there.`, { freeBytes, bytes });
  }

  async #removeWhere(matches: (name: string) => boolean): Promise<void> {
    for (const name of (await this.#names()).filter(matches)) await rm(join(this.#parts.directory, name), { recursive: true, force: true });
  }

  async #names(): Promise<string[]> {
    return (await readdir(this.#parts.directory).catch(nullIfMissing)) ?? [];
  }
}

function nullIfMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}
