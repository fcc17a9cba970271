import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RequestHandler } from 'express';
import { withDeadline } from '../../protocol/deadline.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { DeployImages, ImageFacts, ImageSource, PreparedImage } from '../drivers/deployment.ts';
import { AddressPolicy, type ResolveName } from './address-policy.ts';
import { expandImage } from './disk-expansion.ts';
import { dataBytesOf, diskPath, readIndex, sourceKeyOf, writeIndex } from './disk-index.ts';
import { createDiskStreams, type DiskStreams } from './disk-stream-handler.ts';
import { isWeak } from './expected-digest.ts';
import { fileOrigin } from './file-origin.ts';
import { glanceOrigin, type ImageCatalogue } from './glance-origin.ts';
import { fetchImage } from './image-fetch.ts';
import { parseSource, shownSource, type ImageOrigin } from './image-origin.ts';
import { OperationDirectories } from './operation-directories.ts';
import { StorageRoom } from './storage-room.ts';
import { urlOrigin } from './url-origin.ts';

export interface DeployImagesOptions {
  /** Of fetched images; made with mode 0700. */
  directory: string;
  images: ImageCatalogue;
  limits: {
    /** Largest file that is fetched, and largest disk that it may become. */
    maxImageBytes: number;
    /** What the directory's file system must keep free. */
    reserveBytes: number;
    /** For everything that `prepare` does. */
    fetchTimeoutMs: number;
    fetchAttempts: number;
    /** Without a byte for so long the fetching of an image is given up. */
    stallTimeoutMs: number;
    /** A machine that takes no byte for so long is cut off. Default ten minutes, or `stallTimeoutMs` where that is more. */
    machineIdleMs?: number;
    /** Before the second attempt; doubled before each further one. Default one second. */
    retryPauseMs?: number;
  };
  /** Directories of which file URLs may name images. */
  fileRoots: readonly string[];
  /** CIDR of networks whose addresses URLs may name although they are loopback, link-local or the like. */
  allowedNetworks: readonly string[];
  /** PEM of authorities of https image servers, besides the public ones that Node.js brings along. */
  sourceCa?: string;
  /** Default: the system's resolver. */
  resolveName?: ResolveName;
  /** Of the mount of `handler`, as machines see it. */
  publicUrl: string;
  /** PEM that machines pin. */
  ca?: string;
  /** The operation that this pair opens, or null; takes the same time for every wrong pair. */
  credentials(username: string, password: string): Promise<string | null>;
  log: Logger;
}

/** `handler` is to be mounted at the path of `publicUrl`; it answers everything below it. `close` stops all work and keeps what is ready. */
export type ServedDeployImages = DeployImages & { handler: RequestHandler; close(): Promise<void> };

/**
 * A machine may pause on purpose while its disk takes long over what it has; whether its work gets on is told by the work
 * itself, whose end cuts the stream too. This limit is for machines of which nothing is heard any more.
 */
const MACHINE_IDLE_MS = 600_000;

export const createDeployImages = (options: DeployImagesOptions): ServedDeployImages => new SpooledImages(options);

/** Images are fetched into files, proven, expanded to sparse raw disks there, and sent from them. */
class SpooledImages implements ServedDeployImages {
  readonly handler: RequestHandler;
  readonly #options: DeployImagesOptions;
  readonly #directories: OperationDirectories;
  readonly #room: StorageRoom;
  readonly #addresses: AddressPolicy;
  readonly #streams: DiskStreams;
  readonly #preparing = new Map<string, Set<AbortController>>();
  #isClosed = false;

  constructor(options: DeployImagesOptions) {
    this.#options = options;
    const directory = resolve(options.directory); // a relative path could read as a protocol to qemu-img
    this.#directories = new OperationDirectories(directory);
    this.#room = new StorageRoom(directory, options.limits.reserveBytes);
    this.#addresses = new AddressPolicy(options.allowedNetworks, { resolveName: options.resolveName });
    const { stallTimeoutMs, machineIdleMs = Math.max(stallTimeoutMs, MACHINE_IDLE_MS) } = options.limits;
    this.#streams = createDiskStreams({ credentials: options.credentials, find: (uuid) => readIndex(this.#directories.path(uuid)), idleTimeoutMs: machineIdleMs, log: options.log });
    this.handler = this.#streams.handler;
  }

  async describe(source: ImageSource, signal: AbortSignal, forProject: string | null = null): Promise<ImageFacts> {
    return await this.#describe(this.#originOf(source, forProject), source, signal);
  }

  async prepare(operationUuid: string, source: ImageSource, { signal, onProgress }: Parameters<DeployImages['prepare']>[2]): Promise<PreparedImage> {
    this.#directories.path(operationUuid);
    if (this.#isClosed) throw new OperationFailedError('The conductor is shutting down.');
    const stop = new AbortController();
    const stops = this.#preparing.get(operationUuid) ?? new Set();
    this.#preparing.set(operationUuid, stops.add(stop));
    try {
      return await withDeadline(this.#options.limits.fetchTimeoutMs, [signal, stop.signal], (limited) => this.#prepareWithin(limited, operationUuid, source, onProgress ?? (() => undefined)));
    } finally {
      stops.delete(stop);
      if (stops.size === 0) this.#preparing.delete(operationUuid);
    }
  }

  async #prepareWithin(limited: AbortSignal, operationUuid: string, source: ImageSource, onProgress: (bytesDone: number, bytesTotal: number | null) => void): Promise<PreparedImage> {
    const path = this.#directories.path(operationUuid);
    try {
      return await this.#directories.inTurn(operationUuid, async () => {
        limited.throwIfAborted();
        const ready = await readIndex(path);
        if (ready?.sourceKey === sourceKeyOf(source)) return { virtualSizeBytes: ready.virtualSizeBytes, dataBytes: ready.dataBytes };
        await this.#directories.makeAnew(operationUuid);
        this.#streams.cut(operationUuid);
        try {
          return await this.#make(path, source, limited, onProgress);
        } catch (error) {
          await this.#directories.remove(operationUuid);
          throw error;
        }
      });
    } catch (error) {
      if (limited.aborted && !(error instanceof InvalidParameterError)) throw new OperationFailedError(`The preparation of image ${shownSource(source.source)} was stopped: ${messageOf(limited.reason)}`, {}, error);
      throw error instanceof MetalshotError ? error : new OperationFailedError(`The image ${shownSource(source.source)} could not be prepared: ${messageOf(error)}`, {}, error);
    }
  }

  async prepared(operationUuid: string): Promise<PreparedImage | null> {
    const ready = await readIndex(this.#directories.path(operationUuid));
    return ready && { virtualSizeBytes: ready.virtualSizeBytes, dataBytes: ready.dataBytes };
  }

  location(operationUuid: string): { url: string; ca: string | undefined } {
    this.#directories.path(operationUuid);
    return { url: `${this.#options.publicUrl.replace(/\/+$/, '')}/${operationUuid}`, ca: this.#options.ca };
  }

  async remove(operationUuid: string): Promise<void> {
    this.#directories.path(operationUuid);
    this.#preparing.get(operationUuid)?.forEach((stop) => stop.abort(new Error('the image is no longer wanted')));
    await this.#directories.inTurn(operationUuid, async () => {
      await this.#directories.remove(operationUuid);
      this.#streams.cut(operationUuid); // last: nothing that still finds the image begins now
    });
  }

  async removeOrphans(known: ReadonlySet<string>): Promise<string[]> {
    const orphans = (await this.#directories.list()).filter((uuid) => !known.has(uuid) && !this.#preparing.has(uuid));
    for (const uuid of orphans) await this.remove(uuid);
    return orphans;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#streams.close();
    for (const stops of this.#preparing.values()) stops.forEach((stop) => stop.abort(new Error('the conductor is shutting down')));
    await this.#directories.settled();
  }

  async #describe(origin: ImageOrigin, source: ImageSource, signal: AbortSignal): Promise<ImageFacts> {
    const { maxImageBytes } = this.#options.limits;
    const facts = await origin.describe(signal);
    const largest = Math.max(facts.sizeBytes ?? 0, facts.virtualSizeBytes ?? 0);
    if (largest > maxImageBytes) throw new InvalidParameterError(`The image ${shownSource(source.source)} has ${largest} bytes, the limit is ${maxImageBytes} (deploy.max_image_bytes).`, { maxImageBytes });
    if (facts.sizeBytes === 0) throw new InvalidParameterError(`The image ${shownSource(source.source)} is empty.`);
    return facts;
  }

  async #make(path: string, source: ImageSource, signal: AbortSignal, onProgress: (bytesDone: number, bytesTotal: number | null) => void): Promise<PreparedImage> {
    const { limits, log } = this.#options;
    const shown = shownSource(source.source);
    const fetched = join(path, 'fetched');
    const origin = this.#originOf(source, null); // who may have it was settled when it was asked for
    const facts = await this.#describe(origin, source, signal);
    if (isWeak({ algo: facts.hashAlgo, value: facts.hashValue })) log.warn({ image: shown, algo: facts.hashAlgo }, 'the only digest of an image is a weak one: whoever can make another image with the same digest is not noticed');
    // Fetched and expanded an image counts as progress twice, a raw one once.
    const expandedBytes = facts.diskFormat === 'raw' ? 0 : facts.virtualSizeBytes;
    const totalBytes = facts.sizeBytes === null || expandedBytes === null ? null : facts.sizeBytes + expandedBytes;
    const neededBytes = neededFor(facts);
    const room = await this.#room.claim(neededBytes);
    try {
      return await this.#room.whileRoomy(signal, async (roomy) => {
        const sizeBytes = await fetchImage({
          origin,
          facts,
          shown,
          target: fetched,
          maxBytes: limits.maxImageBytes,
          attempts: limits.fetchAttempts,
          pauseMs: limits.retryPauseMs ?? 1_000,
          signal: roomy,
          log,
          onProgress: (bytes) => {
            room.left(neededBytes - bytes);
            onProgress(bytes, totalBytes);
          },
        });
        const disk = await expandImage({
          fetched,
          format: facts.diskFormat,
          shown,
          target: diskPath(path),
          maxBytes: limits.maxImageBytes,
          timeoutMs: limits.fetchTimeoutMs,
          signal: roomy,
          room,
          onProgress: (bytes, virtualSizeBytes) => onProgress(sizeBytes + bytes, sizeBytes + virtualSizeBytes),
        });
        await writeIndex(path, { ...disk, sourceKey: sourceKeyOf(source) });
        return { virtualSizeBytes: disk.virtualSizeBytes, dataBytes: dataBytesOf(disk.extents) };
      });
    } finally {
      room.release();
      await rm(fetched, { force: true });
    }
  }

  #originOf(source: ImageSource, forProject: string | null): ImageOrigin {
    const named = parseSource(source.source);
    const { images, limits, fileRoots, sourceCa } = this.#options;
    if (named.kind === 'image') return glanceOrigin(images, named.imageId, forProject);
    if (named.kind === 'file' && forProject !== null) throw new InvalidParameterError('Image files of the conductor\'s host are for administrators: name an image of the image service, or an http(s) URL.', { source: shownSource(source.source) });
    if (named.kind === 'file') return fileOrigin(named.url, source, fileRoots);
    return urlOrigin(named.url, source, { addresses: this.#addresses, ca: sourceCa, stallTimeoutMs: limits.stallTimeoutMs });
  }
}

/** The file, and about as much again once it is expanded: how much exactly its map tells later. */
function neededFor({ sizeBytes, virtualSizeBytes, diskFormat }: ImageFacts): number {
  if (sizeBytes === null) return 0;
  return diskFormat === 'raw' ? sizeBytes : sizeBytes + Math.min(sizeBytes, virtualSizeBytes ?? sizeBytes);
}
