import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import express from 'express';
import { createDeployImages, type DeployImagesOptions, type ServedDeployImages } from '../../../conductor/images/deploy-images.ts';
import type { ImageCatalogue } from '../../../conductor/images/glance-origin.ts';
import type { ImageSource, PreparedImage } from '../../../conductor/drivers/deployment.ts';
import { decodeDiskStream } from '../../../protocol/disk-stream.ts';
import { messageOf } from '../../../protocol/errors.ts';
import { createLogger } from '../../../protocol/log.ts';
import { runProgram } from '../../../protocol/program.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const LOOPBACK = ['127.0.0.0/8', '::1/128'];
const PASSWORD = 'right';
const KEY_ATTEMPTS = 10;

export const unaborted = (): AbortSignal => new AbortController().signal;

/** No image service: a test that asks it anything fails. */
const NO_CATALOGUE: ImageCatalogue = {
  show: () => Promise.reject(new Error('the image service was asked')),
  download: () => Promise.reject(new Error('the image service was asked')),
};

export interface StageOptions {
  images?: ImageCatalogue;
  limits?: Partial<DeployImagesOptions['limits']>;
  allowedNetworks?: readonly string[];
  /** Default: the stage's own `sources` directory. */
  fileRoots?: readonly string[];
  resolveName?: DeployImagesOptions['resolveName'];
  sourceCa?: string;
}

/** A spool of images with its listener, and a directory of source images, all in a directory of its own. */
export class ImageStage {
  readonly directory: string;
  readonly spool: string;
  readonly sources: string;
  images: ServedDeployImages;
  readonly #server: Server;
  readonly #options: StageOptions;

  static async start(options: StageOptions = {}): Promise<ImageStage> {
    const directory = await mkdtemp(join(tmpdir(), 'deploy-images-'));
    await mkdir(join(directory, 'sources'));
    const app = express();
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const stage = new ImageStage(directory, server, options);
    app.use('/images', (...call) => stage.images.handler(...call));
    return stage;
  }

  private constructor(directory: string, server: Server, options: StageOptions) {
    this.directory = directory;
    this.spool = join(directory, 'spool');
    this.sources = join(directory, 'sources');
    this.#server = server;
    this.#options = options;
    this.images = this.#create();
  }

  /** Another process's view of the same directory, as after a restart of the conductor. */
  async restart(): Promise<void> {
    await this.images.close();
    this.images = this.#create();
  }

  async close(): Promise<void> {
    await this.images.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.directory, { recursive: true, force: true });
  }

  url(operationUuid: string): string {
    return this.images.location(operationUuid).url;
  }

  /** A request to the listener, its reply's body not read yet. `user` null: without credentials. */
  ask(method: string, url: string, { user, password = PASSWORD }: { user: string | null; password?: string }): Promise<IncomingMessage> {
    const headers: Record<string, string> = user === null ? {} : { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
    return new Promise((resolve, reject) => request(url, { method, headers, agent: false }, resolve).on('error', reject).end());
  }

  /** Reads the disk stream as a machine does. @returns the disk that it makes. */
  async readDisk(operationUuid: string): Promise<{ sha256: string; virtualSizeBytes: number; dataBytes: number; streamBytes: number; announcedBytes: number; extents: number }> {
    const response = await this.ask('GET', this.url(operationUuid), { user: operationUuid });
    if (response.statusCode !== 200) throw new Error(`expected 200, found ${response.statusCode}`);
    const path = join(this.directory, `decoded-${randomUUID()}`);
    const disk = await open(path, 'wx');
    const seen = { virtualSizeBytes: 0, dataBytes: 0, streamBytes: 0, announcedBytes: Number(response.headers['content-length']), extents: 0 };
    const counted = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        seen.streamBytes += chunk.length;
        yield chunk;
      }
    };
    try {
      for await (const part of decodeDiskStream(counted())) {
        if (part.type === 'header') {
          seen.virtualSizeBytes = part.header.virtualSizeBytes;
          await disk.truncate(part.header.virtualSizeBytes);
        } else if (part.type === 'extent') seen.extents += 1;
        else if (part.type === 'data') {
          await disk.write(part.bytes, 0, part.bytes.length, part.offsetBytes);
          seen.dataBytes += part.bytes.length;
        }
      }
      return { ...seen, sha256: await digestOfFile(path, 'sha256') };
    } finally {
      await disk.close();
      await rm(path);
    }
  }

  /** A raw disk with data at its beginning, in lone sectors, in a fragmented stretch, and in its last sector. */
  async makeRaw(name: string, sizeBytes: number): Promise<string> {
    const path = join(this.sources, name);
    const file = await open(path, 'wx');
    try {
      await file.truncate(sizeBytes);
      const pieces: [number, number][] = [[0, 700], [3 * MIB + 512, 2 * MIB], [9 * MIB + 4096, 1], [sizeBytes - 300, 300], ...Array.from({ length: 60 }, (_, index): [number, number] => [12 * MIB + index * 40 * KIB, 5000])];
      for (const [offset, length] of pieces) if (offset + length <= sizeBytes) await file.write(randomBytes(length), 0, length, offset);
    } finally {
      await file.close();
    }
    return path;
  }

  async qemuImg(...args: string[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await runProgram('qemu-img', args, { timeoutMs: 60_000 });
        return;
      } catch (error) {
        // making a key it measures its own CPU time, which can be too short for the kernel's clock
        if (attempt === KEY_ATTEMPTS || !messageOf(error).includes('accurate CPU usage')) throw error;
      }
    }
  }

  /** Digest of the disk that qemu-img itself makes of the image. */
  async rawDigest(path: string, format: string): Promise<string> {
    const raw = join(this.directory, `raw-${randomUUID()}`);
    await this.qemuImg('convert', '-f', format, '-O', 'raw', path, raw);
    const digest = await digestOfFile(raw, 'sha256');
    await rm(raw);
    return digest;
  }

  prepare(operationUuid: string, source: ImageSource, signal = unaborted(), onProgress?: (bytesDone: number, bytesTotal: number | null) => void): Promise<PreparedImage> {
    return this.images.prepare(operationUuid, source, { signal, onProgress });
  }

  #create(): ServedDeployImages {
    const { images = NO_CATALOGUE, limits, allowedNetworks = [], fileRoots = [this.sources], resolveName, sourceCa } = this.#options;
    return createDeployImages({
      directory: this.spool,
      images,
      limits: { maxImageBytes: 4 * GIB, reserveBytes: 0, fetchTimeoutMs: 60_000, fetchAttempts: 3, stallTimeoutMs: 10_000, retryPauseMs: 10, ...limits },
      fileRoots,
      allowedNetworks,
      resolveName,
      sourceCa,
      publicUrl: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/images`,
      credentials: (username, password) => Promise.resolve(password === PASSWORD ? username : null),
      log: createLogger('deploy-images', 'silent'),
    });
  }
}

/** A file as a source, with its true digest unless another is given. */
export async function fileSource(path: string, diskFormat: string | null = null, hashValue?: string): Promise<ImageSource> {
  return { source: pathToFileURL(path).href, diskFormat, hashAlgo: null, hashValue: hashValue ?? `sha256:${await digestOfFile(path, 'sha256')}` };
}

export async function digestOfFile(path: string, algo: string): Promise<string> {
  const hash = createHash(algo);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** Changes bytes of a file in place. */
export async function patchFile(path: string, offset: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, offset);
  } finally {
    await file.close();
  }
}

export const readText = (path: string): Promise<string> => readFile(path, 'utf8');
