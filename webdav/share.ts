import { join } from 'node:path';
import type { Request, RequestHandler, Response } from 'express';
import { InvalidParameterError, MetalshotError, MethodNotAllowedError, NotFoundError, TemporarilyUnavailableError, UnauthorizedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { noteBytes, noteSnapshot, recordAccess } from './access-log.ts';
import { Bandwidth } from './bandwidth.ts';
import { parseBasicCredentials } from './basic-credentials.ts';
import { announcedImage, isLinkProbe, receiveImage, takeLinkProbe, type StreamedImage } from './image-stream.ts';
import { limitLingering, sendEntry, sendError } from './reply.ts';
import { admitRequest, requireServedMethod } from './request-admission.ts';
import { ShareDirectories } from './share-directories.ts';
import type { ImageReceiver, ShareDirectory } from './share-directory.ts';
import { isSnapshotUuid, parseSharePath } from './share-path.ts';
import { Spool } from './spool.ts';
import { createWebdavHandler, type WebdavHandler } from './webdav-handler.ts';

/** Who may write where; asked at every request, so that a revoked credential is dead at once. */
export interface ShareCredentials {
  /** The uuid of the snapshot that this pair opens, or null. Takes the same time for every wrong pair. */
  snapshotOf(username: string, password: string): Promise<string | null>;
}

export interface ShareOptions {
  /** The spool, an absolute path; made with mode 0700. */
  directory: string;
  /** Of the mount, as agents see it. */
  publicUrl: string;
  /** PEM that agents pin. */
  ca?: string;
  credentials: ShareCredentials;
  /** Bytes of the spool's file system that stay free. */
  reserveBytes: number;
  log: Logger;
  /** Bytes a second that all image streams together, and those of one snapshot, may bring; absent: as many as come. */
  maxBytesPerS?: number;
  maxBytesPerSOfOne?: number;
  /** Milliseconds without a byte after which an upload is cut. Default: two minutes. */
  uploadIdleTimeoutMs?: number;
}

const DEFAULT_IDLE_TIMEOUT_MS = 120_000;
const REALM = 'metalshot';

/**
 * The built-in share: each snapshot has a directory, a quota and a credential of its own, into which its agent writes
 * image files over WebDAV and out of which it reads nothing.
 */
export class Share {
  /** To be mounted at the path of `publicUrl`. Answers everything below it. */
  readonly handler: RequestHandler;
  readonly #options: ShareOptions;
  readonly #idleTimeoutMs: number;
  readonly #mountPath: string;
  readonly #spool: Spool;
  readonly #directories: ShareDirectories;
  readonly #bandwidth: Bandwidth;
  readonly #webdav = new WeakMap<ShareDirectory, WebdavHandler>();
  #isClosed = false;

  constructor(options: ShareOptions) {
    this.#options = options;
    this.#idleTimeoutMs = options.uploadIdleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS;
    this.#mountPath = new URL(options.publicUrl).pathname.replace(/\/+$/, '');
    this.#spool = new Spool(options.directory, options.reserveBytes);
    this.#directories = new ShareDirectories(this.#spool);
    this.#bandwidth = new Bandwidth(options.maxBytesPerS, options.maxBytesPerSOfOne);
    this.handler = (request, response) => void this.#answer(request, response);
  }

  /**
   * Makes a snapshot's directory, or takes over the one that stands: complete files stay, halves go, the quota is the new one.
   * @param quotaBytes for the sum of its files.
   * @param receiver where image streams go, until the directory is removed or the conductor starts anew; absent: onto the spool.
   * @returns the URL for the agent, and the certificate that it pins.
   */
  async open(snapshotUuid: string, quotaBytes: number, receiver?: ImageReceiver): Promise<{ url: string; ca: string | undefined }> {
    requireUuid(snapshotUuid);
    if (!Number.isSafeInteger(quotaBytes) || quotaBytes < 0) throw new InvalidParameterError(`Expected a quota in whole bytes, found ${quotaBytes}.`);
    await this.#spool.make();
    (await this.#directories.make(snapshotUuid, quotaBytes)).setReceiver(receiver ?? null);
    return { url: `${this.#options.publicUrl.replace(/\/+$/, '')}/${snapshotUuid}/`, ca: this.#options.ca };
  }

  /** The finished file of this name, or null; with what it was proven by (a file's digest, a stream's code) unless it was received before our start. */
  async received(snapshotUuid: string, imageName: string): Promise<{ path: string; sizeBytes: number; proof?: string } | null> {
    requireUuid(snapshotUuid);
    const directory = await this.#directories.find(snapshotUuid);
    const stats = await directory?.statFile(imageName);
    if (!directory || !stats) return null;
    const proof = directory.proofOf(imageName);
    return { path: join(directory.path, imageName), sizeBytes: stats.size, ...(proof === undefined ? {} : { proof }) };
  }

  /** Bytes of the upload under way (of the farthest, if several). */
  bytesReceived(snapshotUuid: string): number {
    return this.#directories.peek(snapshotUuid)?.bytesReceived ?? 0;
  }

  /** Why the last upload was refused for want of room, in words for a person: davfs2 does not tell. Null: it was not. */
  refusalOf(snapshotUuid: string): string | null {
    return this.#directories.peek(snapshotUuid)?.lastRefusal ?? null;
  }

  /** Cuts uploads under way, waits until they have let go and removes everything of the snapshot. Nothing there: fine. */
  async remove(snapshotUuid: string): Promise<void> {
    requireUuid(snapshotUuid);
    await this.#directories.remove(snapshotUuid);
  }

  /** Bytes that the spool's file system has free and that no upload under way was promised. */
  async freeBytes(): Promise<number> {
    await this.#spool.make();
    return await this.#spool.unpromisedBytes();
  }

  /** Removes the directories of snapshots that are neither known nor open (after a crash); returns their uuids. */
  async removeOrphans(known: ReadonlySet<string>): Promise<string[]> {
    await this.#spool.make();
    return await this.#directories.removeOrphans(known);
  }

  /** Cuts uploads and serves nothing more (503); directories stay for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#directories.close();
  }

  async #answer(request: Request, response: Response): Promise<void> {
    const { log } = this.#options;
    recordAccess(request, response, log);
    limitLingering(request, response);
    response.on('error', (error) => log.debug({ err: error }, 'share: a reply did not reach its client'));
    try {
      await this.#serve(request, response);
    } catch (error) {
      if (!(error instanceof MetalshotError)) log.error({ err: error }, 'share: request failed');
      sendError(response, error, repliesOf(error));
    }
  }

  async #serve(request: Request, response: Response): Promise<void> {
    if (this.#isClosed) throw new TemporarilyUnavailableError('The share is shutting down.');
    const pair = parseBasicCredentials(request.headers.authorization);
    const snapshotUuid = pair && (await this.#options.credentials.snapshotOf(pair.username, pair.password));
    if (!snapshotUuid) throw new UnauthorizedError();
    noteSnapshot(response, snapshotUuid);
    const { method } = request;
    requireServedMethod(method);
    const target = parseSharePath(request.originalUrl, this.#mountPath);
    // another's directory is not told apart from one that does not exist
    const directory = target?.snapshotUuid === snapshotUuid ? await this.#directories.find(snapshotUuid) : null;
    if (!target || !directory) throw new NotFoundError();
    if (method === 'HEAD') {
      await answerHead(response, directory, target.name);
      return;
    }
    const admitted = await admitRequest(request, method, directory, target.name, this.#idleTimeoutMs);
    if (method === 'PUT' && isLinkProbe(request)) {
      await takeLinkProbe(request, response, this.#idleTimeoutMs, this.#bandwidth.bucketsOf(directory));
      return;
    }
    const image = method === 'PUT' && target.name !== null ? announcedImage(request) : null;
    if (image && target.name !== null) {
      await this.#takeImage(request, response, directory, target.name, image);
      return;
    }
    if (admitted.body !== null) noteBytes(response, () => Number(request.headers['content-length'] ?? 0));
    this.#webdavOf(directory)(request, response, admitted);
  }

  /** An image that comes in one pass, into the snapshot's receiver if it has one, otherwise into a file of the spool. */
  async #takeImage(request: Request, response: Response, directory: ShareDirectory, name: string, image: StreamedImage): Promise<void> {
    let receivedBytes = 0;
    noteBytes(response, () => receivedBytes);
    const receiver = await directory.receiveImage({ name, declaredBytes: image.sizeBytes, idleTimeoutMs: this.#idleTimeoutMs, cut: () => request.destroy() });
    await receiveImage(request, response, image, {
      receiver,
      buckets: this.#bandwidth.bucketsOf(directory),
      onBytes: (bytes) => (receivedBytes = bytes),
    });
  }

  #webdavOf(directory: ShareDirectory): WebdavHandler {
    const known = this.#webdav.get(directory);
    if (known) return known;
    const handler = createWebdavHandler(directory, `${this.#mountPath}/${directory.snapshotUuid}`, this.#idleTimeoutMs, this.#options.log);
    this.#webdav.set(directory, handler);
    return handler;
  }
}

/** davfs2 asks after its LOCK; webdav-server's own HEAD would open the file. */
async function answerHead(response: Response, directory: ShareDirectory, name: string | null): Promise<void> {
  const entry = name === null ? null : await directory.entry(name);
  if (!entry) throw new NotFoundError();
  sendEntry(response, entry);
}

function requireUuid(snapshotUuid: string): void {
  if (!isSnapshotUuid(snapshotUuid)) throw new InvalidParameterError(`Expected the uuid of a snapshot, found "${snapshotUuid}".`);
}

/** Headers that belong to an error's status. */
function repliesOf(error: unknown): Record<string, string> {
  if (error instanceof UnauthorizedError) return { 'WWW-Authenticate': `Basic realm="${REALM}", charset="UTF-8"` };
  if (error instanceof MethodNotAllowedError) return { Allow: (error.data['allow'] as string[]).join(', ') };
  if (error instanceof TemporarilyUnavailableError) return { 'Retry-After': '5' };
  return {};
}
