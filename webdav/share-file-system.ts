import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { v2 as webdav } from 'webdav-server';
import { MetalshotError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { noteBytes } from './access-log.ts';
import { sendError, setEntryHeaders } from './reply.ts';
import { describeFile, type ShareDirectory, type ShareEntry } from './share-directory.ts';
import type { Upload } from './upload.ts';

type Callback<T> = (error?: Error, value?: T) => void;

/**
 * webdav-server's view of one snapshot's directory: one level of plain files that can be written, deleted, locked and seen,
 * and never read. There is no `_openReadStream`, no move, copy or rename, and properties are not kept.
 */
export class ShareFileSystem extends webdav.FileSystem {
  readonly #directory: ShareDirectory;
  readonly #idleTimeoutMs: number;
  readonly #log: Logger;

  constructor(directory: ShareDirectory, idleTimeoutMs: number, log: Logger) {
    super(NOT_SERIALIZED);
    this.#directory = directory;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#log = log;
  }

  protected override _type(path: webdav.Path, { context }: webdav.TypeInfo, callback: Callback<webdav.ResourceType>): void {
    this.#answer(context, path.isRoot() ? Promise.resolve(webdav.ResourceType.Directory) : this.#entry(path).then(() => webdav.ResourceType.File), callback);
  }

  protected override _size(path: webdav.Path, { context }: webdav.SizeInfo, callback: Callback<number>): void {
    this.#answer(context, this.#entry(path).then((entry) => entry.sizeBytes), callback);
  }

  protected override _lastModifiedDate(path: webdav.Path, { context }: webdav.LastModifiedDateInfo, callback: Callback<number>): void {
    this.#answer(context, this.#entry(path).then((entry) => entry.modifiedAt.getTime()), callback);
  }

  protected override _etag(path: webdav.Path, { context }: webdav.ETagInfo, callback: Callback<string>): void {
    this.#answer(context, this.#entry(path).then((entry) => entry.etag), callback);
  }

  protected override _readDir(_path: webdav.Path, { context }: webdav.ReadDirInfo, callback: Callback<string[] | webdav.Path[]>): void {
    this.#answer(context, this.#directory.entryNames(), callback);
  }

  /** Makes nothing on the disk: a PUT's file comes into being when it is complete, a LOCK's name exists by its lock. */
  protected override _create(path: webdav.Path, { context }: webdav.CreateInfo, callback: Callback<never>): void {
    const work = async (): Promise<void> => {
      if (methodOf(context) === 'LOCK') this.#directory.locks.reserve(nameOf(path));
    };
    this.#answer(context, work(), callback as Callback<void>);
  }

  protected override _delete(path: webdav.Path, { context }: webdav.DeleteInfo, callback: Callback<never>): void {
    const work = async (): Promise<void> => {
      await this.#directory.deleteFile(nameOf(path));
      this.#directory.locks.forget(nameOf(path));
    };
    this.#answer(context, work(), callback as Callback<void>);
  }

  protected override _openWriteStream(path: webdav.Path, { context }: webdav.OpenWriteStreamInfo, callback: Callback<Writable>): void {
    const { request, response } = context as webdav.HTTPRequestContext;
    const work = async (): Promise<Upload> => {
      const declared = request.headers['content-length'];
      const upload = await this.#directory.beginUpload({
        name: nameOf(path),
        declaredBytes: declared === undefined ? null : Number(declared),
        idleTimeoutMs: this.#idleTimeoutMs,
        isDigested: true,
        cut: () => request.destroy(),
      });
      noteBytes(response, () => upload.writtenBytes);
      // before webdav-server's own listener, which knows no reasons
      upload.once('error', (error) => {
        const level = error instanceof MetalshotError ? 'info' : 'error';
        this.#log[level]({ snapshot: this.#directory.snapshotUuid, name: upload.name, bytes: upload.writtenBytes, reason: error.message }, 'share: upload not taken');
        sendError(response, error);
      });
      upload.once('finish', () => describeUpload(response, upload));
      const stopWhenCut = (): void => {
        if (!request.complete) upload.stop('the client has gone away');
      };
      if (request.destroyed) stopWhenCut();
      else request.once('close', stopWhenCut);
      return upload;
    };
    this.#answer(context, work(), callback);
  }

  protected override _lockManager(path: webdav.Path, { context }: webdav.LockManagerInfo, callback: Callback<webdav.ILockManager>): void {
    const work = async (): Promise<webdav.ILockManager> => {
      if (path.isRoot()) return new webdav.LocalLockManager(); // the directory itself cannot be locked
      await this.#entry(path);
      return this.#directory.locks.managerFor(nameOf(path));
    };
    this.#answer(context, work(), callback);
  }

  protected override _availableLocks(_path: webdav.Path, { context }: webdav.AvailableLocksInfo, callback: Callback<webdav.LockKind[]>): void {
    this.#answer(context, Promise.resolve([new webdav.LockKind(webdav.LockScope.Exclusive, webdav.LockType.Write)]), callback);
  }

  protected override _propertyManager(_path: webdav.Path, { context }: webdav.PropertyManagerInfo, callback: Callback<webdav.IPropertyManager>): void {
    this.#answer(context, Promise.resolve(new webdav.LocalPropertyManager()), callback); // a fresh, empty one each time: nothing is kept
  }

  /** @throws webdav-server's own error for what does not exist: it is waiting for it. */
  async #entry(path: webdav.Path): Promise<ShareEntry> {
    if (path.isRoot()) return DIRECTORY_ENTRY;
    const entry = await this.#directory.entry(nameOf(path));
    if (entry === null) throw webdav.Errors.ResourceNotFound;
    return entry;
  }

  /** Calls webdav-server back; what it throws then would have no other catch than the process's. */
  #answer<T>(context: webdav.RequestContext, work: Promise<T>, callback: Callback<T>): void {
    const response: ServerResponse | undefined = (context as Partial<webdav.HTTPRequestContext>).response;
    const fail = (error: unknown): void => {
      if (!(error instanceof MetalshotError)) this.#log.error({ err: error, snapshot: this.#directory.snapshotUuid }, 'share: request failed');
      if (response) sendError(response, error);
    };
    const callBack = (error: Error | undefined, value?: T): void => {
      try {
        callback(error, value);
      } catch (thrown) {
        fail(thrown);
      }
    };
    work.then(
      (value) => callBack(undefined, value),
      // what webdav-server does not know is answered here, with its reason: its callback has nothing to wait for then
      (error: Error) => (WEBDAV_ERRORS.has(error) ? callBack(error) : fail(error)),
    );
  }
}

const WEBDAV_ERRORS = new Set<Error>(Object.values(webdav.Errors));

/** webdav-server can store its file systems; ours is stored already. */
const NOT_SERIALIZED = null as unknown as webdav.FileSystemSerializer;

const nameOf = (path: webdav.Path): string => path.paths.join('/');

const methodOf = (context: webdav.RequestContext): string | undefined => (context as Partial<webdav.HTTPRequestContext>).request?.method;

/** Nothing about the directory itself is worth telling. */
const DIRECTORY_ENTRY: ShareEntry = { sizeBytes: 0, modifiedAt: new Date(0), etag: '"directory"' };

/** Saves davfs2 the HEAD that it would send to learn them. */
function describeUpload(response: ServerResponse, { stats }: Upload): void {
  if (stats !== null && !response.headersSent) setEntryHeaders(response, describeFile(stats));
}
