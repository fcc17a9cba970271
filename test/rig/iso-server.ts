import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { BootFiles, BootMachine } from '../../conductor/drivers/boot-files.ts';
import { createConductorArchive } from '../../conductor/netboot/conductor-archive.ts';
import { IsoFiles } from '../../conductor/netboot/iso-files.ts';
import { RamdiskImages } from '../../conductor/netboot/ramdisk-images.ts';
import { createLogger } from '../../protocol/log.ts';
import { ramdiskConfigSchema } from '../../protocol/ramdisk-boot.ts';

export interface IsoServerOptions {
  /** Paths of files by their names in the ramdisk's directory: vmlinuz, initramfs, signed boot loaders. */
  ramdisk: Readonly<Record<string, string>>;
  kernelParameters?: string;
}

/** What of a conductor makes and serves ISOs, behind a listener of its own. */
export class IsoServer implements BootFiles {
  readonly isos: IsoFiles;
  readonly ramdiskDirectory: string;
  readonly isoDirectory: string;
  readonly #images: RamdiskImages;
  readonly #server: Server;

  private constructor(isos: IsoFiles, directories: { ramdisk: string; isos: string }, images: RamdiskImages, server: Server) {
    this.isos = isos;
    this.ramdiskDirectory = directories.ramdisk;
    this.isoDirectory = directories.isos;
    this.#images = images;
    this.#server = server;
  }

  /** Keeps its files in `directory`, which is the caller's to remove. */
  static async start(directory: string, { ramdisk, kernelParameters = 'console=ttyS0' }: IsoServerOptions): Promise<IsoServer> {
    const directories = { ramdisk: join(directory, 'ramdisk'), isos: join(directory, 'isos') };
    await mkdir(directories.ramdisk);
    const files: Record<string, { size_bytes: number; sha256: string }> = {};
    for (const [name, path] of Object.entries(ramdisk)) {
      await copyFile(path, join(directories.ramdisk, name));
      const content = await readFile(path);
      files[name] = { size_bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
    }
    await writeFile(join(directories.ramdisk, 'manifest.json'), JSON.stringify({ files }));
    const log = createLogger('test', 'silent');
    const images = new RamdiskImages(directories.ramdisk, log);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const isos = new IsoFiles({ directory: directories.isos, images, ramdiskDirectory: directories.ramdisk, archive: createConductorArchive(ramdiskConfigSchema.parse({}), undefined), baseUrl, apiUrl: 'https://192.0.2.1:6386', kernelParameters, log });
    server.on('request', isos.handler);
    return new IsoServer(isos, directories, images, server);
  }

  check(): Promise<void> {
    return this.isos.check();
  }
  checkMachine(machine: BootMachine): Promise<void> {
    return this.isos.checkMachine(machine);
  }
  provideIso(machine: BootMachine, nonce: string, signal: AbortSignal): Promise<string> {
    return this.isos.provideIso(machine, nonce, signal);
  }
  isIso(url: string): boolean {
    return this.isos.isIso(url);
  }
  removeIso(nodeUuid: string): Promise<void> {
    return this.isos.removeIso(nodeUuid);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    await this.#images.close();
  }
}
