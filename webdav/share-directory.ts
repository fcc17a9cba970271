import type { Stats } from 'node:fs';
import { lstat, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { NotFoundError, OperationFailedError, TemporarilyUnavailableError } from '../protocol/errors.ts';
import type { StreamReceiver } from './image-stream.ts';
import { LockTable } from './lock-table.ts';
import { InsufficientStorageError } from './refusals.ts';
import { ReservedNames } from './reserved-names.ts';
import { isFileName } from './share-path.ts';
import type { Spool } from './spool.ts';
import { syncDirectory } from './sync-directory.ts';
import { TEMPORARY_PREFIX, Upload } from './upload.ts';

/** Holds the quota in bytes; no file of a client can have this name. */
const QUOTA_FILE = '.quota';
const UPLOAD_LIMIT = 8;

export interface NewUpload {
  name: string;
  /** Null: chunked. */
  declaredBytes: number | null;
  idleTimeoutMs: number;
  /** What comes is digested here; an image stream is by whoever proves it. */
  isDigested?: boolean;
  /** Closes the connection. */
  cut(): void;
}

/** Where an image stream of this name and length goes; null: into a file of the spool. Asked again, with the reason, when the spool has no room. */
export type ImageReceiver = (name: string, sizeBytes: number, spoolRefusal?: string) => Promise<StreamReceiver | null>;

/** What is known of a name that exists: a complete file, or a name that exists by its lock alone. */
export interface ShareEntry {
  sizeBytes: number;
  modifiedAt: Date;
  etag: string;
}

/** The entity tag of a name without a file: davfs2 learns it after its LOCK and sends it back in If-Match with the PUT. */
export const EMPTY_ETAG = '"empty"';

/** A strong entity tag: every upload is a new file. */
export function describeFile({ ino, mtime, mtimeMs, size }: Stats): ShareEntry {
  return { sizeBytes: size, modifiedAt: mtime, etag: `"${ino.toString(36)}-${Math.round(mtimeMs * 1_000).toString(36)}-${size.toString(36)}"` };
}

/** The directory of one snapshot on the spool: its files, quota, uploads under way and locks. */
export class ShareDirectory {
  readonly snapshotUuid: string;
  readonly path: string;
  readonly locks: LockTable;
  /** Why the last upload was refused, for the message that a person reads; null when none was since. */
  lastRefusal: string | null = null;
  readonly #spool: Spool;
  readonly #reserved: ReservedNames;
  #quotaBytes: number;
  readonly #sizes: Map<string, number>;
  /** Of complete files that we have received, as long as we run: digest, or authentication code of a stream. */
  readonly #proofs = new Map<string, string>();
  readonly #uploads = new Set<Upload>();
  #receiver: ImageReceiver | null = null;
  /** The stream that goes somewhere else than into a file, if one does. */
  #relay: { writable: Writable; cut: () => void; settled: Promise<unknown> } | null = null;
  #isClosed = false;

  private constructor(snapshotUuid: string, spool: Spool, quotaBytes: number, sizes: Map<string, number>) {
    this.snapshotUuid = snapshotUuid;
    this.path = join(spool.directory, snapshotUuid);
    this.#reserved = new ReservedNames(this.path);
    this.locks = new LockTable(snapshotUuid, this.#reserved);
    this.#spool = spool;
    this.#quotaBytes = quotaBytes;
    this.#sizes = sizes;
  }

  /** Makes the directory, or takes an existing one over: complete files stay, temporary ones are removed. */
  static async create(snapshotUuid: string, spool: Spool, quotaBytes: number): Promise<ShareDirectory> {
    const path = join(spool.directory, snapshotUuid);
    await mkdir(path, { recursive: true, mode: 0o700 });
    const directory = new ShareDirectory(snapshotUuid, spool, quotaBytes, await takeOver(path));
    await directory.setQuota(quotaBytes);
    await syncDirectory(spool.directory);
    return directory;
  }

  /** Takes over what a conductor before us has left; null when there is nothing. */
  static async reopen(snapshotUuid: string, spool: Spool): Promise<ShareDirectory | null> {
    const path = join(spool.directory, snapshotUuid);
    const stored = await readFile(join(path, QUOTA_FILE), 'utf8').catch(nullWhenMissing);
    const quotaBytes = Number.parseInt(stored ?? '', 10);
    return Number.isSafeInteger(quotaBytes) ? new ShareDirectory(snapshotUuid, spool, quotaBytes, await takeOver(path)) : null;
  }

  async setQuota(quotaBytes: number): Promise<void> {
    this.#quotaBytes = quotaBytes;
    await writeFile(join(this.path, QUOTA_FILE), `${quotaBytes}\n`, { mode: 0o600 });
  }

  /** The regular file of that name; null for anything else, symbolic links among it. */
  async statFile(name: string): Promise<Stats | null> {
    if (!isFileName(name)) return null;
    const stats = await lstat(join(this.path, name)).catch(nullWhenMissing);
    return stats?.isFile() ? stats : null;
  }

  /** What clients see under a name; null: nothing. */
  async entry(name: string): Promise<ShareEntry | null> {
    const stats = await this.statFile(name);
    if (stats) return describeFile(stats);
    const since = this.locks.reservedSince(name);
    return since && { sizeBytes: 0, modifiedAt: since, etag: EMPTY_ETAG };
  }

  /** Names of all entries. */
  async entryNames(): Promise<string[]> {
    const entries = await readdir(this.path, { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && isFileName(entry.name)).map((entry) => entry.name);
    return [...new Set([...files, ...this.locks.reservedNames()])];
  }

  async deleteFile(name: string): Promise<void> {
    if ((await this.statFile(name)) === null) return;
    await rm(join(this.path, name), { force: true });
    this.#sizes.delete(name);
    this.#proofs.delete(name);
    await syncDirectory(this.path);
  }

  /**
   * Starts an upload.
   * @throws InsufficientStorageError (507) before a byte is taken when quota or reserve cannot hold its length.
   * @throws TemporarilyUnavailableError (503) for more uploads at once than any agent makes.
   */
  async beginUpload(request: NewUpload): Promise<Upload> {
    try {
      await this.#spool.requireRoom(request.declaredBytes ?? 0);
      return this.#addUpload(request);
    } catch (error) {
      this.#noteRefusal(error);
      throw error;
    }
  }

  /** What the file of this name was proven by when it came. */
  proofOf(name: string): string | undefined {
    return this.#proofs.get(name);
  }

  setReceiver(receiver: ImageReceiver | null): void {
    this.#receiver = receiver;
  }

  /** Where an image stream goes: what the receiver says, or the spool. Same errors. */
  async receiveImage(request: NewUpload & { declaredBytes: number }): Promise<StreamReceiver> {
    const { name, declaredBytes } = request;
    await this.#stopRelay('another stream came'); // an agent whose connection broke, which we have not noticed yet
    const receiver = (await this.#receiver?.(name, declaredBytes)) ?? null;
    if (receiver !== null) return this.#beginRelay(request, receiver);
    try {
      return { writable: await this.beginUpload(request), onProven: (mac) => this.#noteProof(name, mac) };
    } catch (error) {
      const another = error instanceof InsufficientStorageError ? await this.#receiver?.(name, declaredBytes, error.message) : null;
      if (!another) throw error;
      return this.#beginRelay(request, another);
    }
  }

  #noteProof(name: string, proof: string): void {
    if (this.#sizes.has(name)) this.#proofs.set(name, proof);
  }

  #beginRelay({ name, declaredBytes, cut }: NewUpload & { declaredBytes: number }, receiver: StreamReceiver): StreamReceiver {
    const { writable } = receiver;
    try {
      if (this.#isClosed) throw new NotFoundError();
      this.#requireQuota(name, declaredBytes);
    } catch (error) {
      writable.destroy();
      this.#noteRefusal(error);
      throw error;
    }
    this.#relay = { writable, cut, settled: new Promise((resolve) => writable.once('close', resolve)) };
    return receiver;
  }

  async #stopRelay(reason: string): Promise<void> {
    const relay = this.#relay;
    if (relay === null) return;
    if (!relay.writable.closed) {
      relay.cut();
      relay.writable.destroy(new OperationFailedError(`The stream was stopped: ${reason}`));
    }
    await relay.settled;
    if (this.#relay === relay) this.#relay = null;
  }

  /** Bytes of the upload that is farthest. */
  get bytesReceived(): number {
    return Math.max(0, ...[...this.#uploads].map((upload) => upload.writtenBytes));
  }

  /** Ends all uploads and takes no more; resolved when every file of theirs is closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const uploads = [...this.#uploads];
    for (const upload of uploads) upload.stop('the directory was closed');
    await Promise.all([...uploads.map((upload) => upload.settled), this.#stopRelay('the directory was closed')]);
  }

  async remove(): Promise<void> {
    await this.close();
    await ShareDirectory.removeFrom(this.#spool, this.snapshotUuid);
  }

  /** Removes a directory that is not open. */
  static async removeFrom(spool: Spool, snapshotUuid: string): Promise<void> {
    await rm(join(spool.directory, snapshotUuid), { recursive: true, force: true });
  }

  #addUpload({ name, declaredBytes, idleTimeoutMs, isDigested = false, cut }: NewUpload): Upload {
    if (this.#isClosed) throw new NotFoundError();
    if (this.#uploads.size >= UPLOAD_LIMIT) throw new TemporarilyUnavailableError(`A snapshot's directory takes ${UPLOAD_LIMIT} uploads at once.`);
    this.#requireQuota(name, declaredBytes ?? 0);
    let promisedBytes = declaredBytes ?? 0;
    this.#spool.promise(promisedBytes);
    const upload: Upload = new Upload({
      directory: this.path,
      name,
      declaredBytes,
      idleTimeoutMs,
      cut,
      admit: () => {
        const stillPromisedBytes = Math.max(0, (declaredBytes ?? 0) - upload.writtenBytes);
        this.#spool.promise(stillPromisedBytes - promisedBytes);
        promisedBytes = stillPromisedBytes;
        if (declaredBytes === null) this.#requireQuota(name, 0);
      },
      requireRoom: () => this.#spool.requireRoom(0),
      isDigested,
      committed: (sizeBytes, sha512) => {
        this.#sizes.set(name, sizeBytes);
        this.#proofs.delete(name);
        if (sha512 !== null) this.#proofs.set(name, sha512);
        this.#reserved.remove(name);
        this.lastRefusal = null;
      },
      released: () => {
        this.#spool.promise(-promisedBytes);
        this.#uploads.delete(upload);
      },
    });
    this.#uploads.add(upload);
    upload.on('error', (error) => this.#noteRefusal(error));
    return upload;
  }

  /** A file that is being replaced counts with the larger of its two sizes: either may be what stays. */
  #requireQuota(name: string, moreBytes: number): void {
    const claims = new Map<string, number>([[name, moreBytes]]);
    for (const upload of this.#uploads) claims.set(upload.name, (claims.get(upload.name) ?? 0) + upload.claimedBytes);
    let sumBytes = 0;
    for (const file of new Set([...this.#sizes.keys(), ...claims.keys()])) sumBytes += Math.max(this.#sizes.get(file) ?? 0, claims.get(file) ?? 0);
    if (sumBytes <= this.#quotaBytes) return;
    throw new InsufficientStorageError(`The snapshot's quota is ${this.#quotaBytes} bytes; with ${name} it would hold ${sumBytes}. Raise the limit for images if it is that large.`, {
      quotaBytes: this.#quotaBytes,
      sumBytes,
    });
  }

  #noteRefusal(error: unknown): void {
    if (error instanceof InsufficientStorageError) this.lastRefusal = error.message;
  }
}

/** Sizes of the complete files; what uploads have left half-done is removed. @throws when the path is no plain directory. */
async function takeOver(path: string): Promise<Map<string, number>> {
  if (!(await lstat(path)).isDirectory()) throw new OperationFailedError(`${path}: expected a directory, found something else. Remove it.`);
  const sizes = new Map<string, number>();
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.name.startsWith(TEMPORARY_PREFIX)) await rm(join(path, entry.name), { force: true });
    else if (entry.isFile() && isFileName(entry.name)) sizes.set(entry.name, (await lstat(join(path, entry.name))).size);
  }
  return sizes;
}

function nullWhenMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
