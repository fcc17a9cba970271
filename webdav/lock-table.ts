import { v2 as webdav } from 'webdav-server';
import { InsufficientStorageError } from './refusals.ts';
import type { ReservedNames } from './reserved-names.ts';

/** davfs2 holds one lock for each file that it has open for writing. */
const LOCK_LIMIT = 16;
/** Seconds that a lock holds without a refresh; davfs2 refreshes a minute before the end. */
export const LOCK_TIMEOUT_S = 1800;
/** RFC 4918 wants a URI; the length is ours. */
const LOCK_TOKEN = /^(urn:uuid|opaquelocktoken):[0-9A-Za-z-]{1,64}$/;

/**
 * The locks of one snapshot's directory: a bounded number, in memory, forgotten with the directory. They keep a second mount
 * with the same credential out of the first one's file; nothing on the disk depends on them.
 */
export class LockTable {
  readonly #locks = new Map<string, webdav.Lock[]>();
  readonly #ownerUid: string;
  readonly #reserved: ReservedNames;

  constructor(ownerUid: string, reserved: ReservedNames) {
    this.#ownerUid = ownerUid;
    this.#reserved = reserved;
  }

  /** Tokens of the locks that hold now. */
  tokensOf(name: string): string[] {
    return this.#current(name).map((lock) => lock.uuid);
  }

  /** Lets a name exist for the lock that is about to be set on it. @throws InsufficientStorageError (507) for too many. */
  reserve(name: string): void {
    if (Math.max(this.#count(), this.#reserved.size) >= LOCK_LIMIT) throw new InsufficientStorageError(`A snapshot's directory holds ${LOCK_LIMIT} locks at most.`, { limit: LOCK_LIMIT });
    this.#reserved.add(name);
  }

  /** Since when the name exists by its lock alone; null: it does not. */
  reservedSince(name: string): Date | null {
    this.#current(name);
    return this.#reserved.since(name);
  }

  reservedNames(): string[] {
    return this.#reserved.names().filter((name) => this.reservedSince(name) !== null);
  }

  /** Of a file that was deleted. */
  forget(name: string): void {
    this.#locks.delete(name);
    this.#reserved.remove(name);
  }

  /**
   * webdav-server's view of one file's locks. A token that we do not know is taken as the lock of a file that has none: a conductor
   * that was restarted has forgotten its locks, and the client that refreshes or gives back one is still the directory's
   * only writer.
   */
  managerFor(name: string): webdav.ILockManager {
    return {
      getLocks: (callback) => callback(undefined, this.#current(name)),
      setLock: (lock, callback) => callback(this.#add(name, lock)),
      removeLock: (token, callback) => callback(undefined, this.#remove(name, token)),
      getLock: (token, callback) => callback(undefined, this.#find(name, token) ?? this.#adopt(name, token)),
      refresh: (token, timeoutSeconds, callback) => {
        const lock = this.#find(name, token);
        lock?.refresh(timeoutSeconds);
        callback(undefined, lock);
      },
    };
  }

  #find(name: string, token: string): webdav.Lock | undefined {
    return this.#current(name).find((lock) => lock.uuid === token);
  }

  /** @returns the error that webdav-server answers with 423 or 507. */
  #add(name: string, lock: webdav.Lock): Error | undefined {
    if (this.#current(name).length > 0) return webdav.Errors.Locked; // two requests at once: both were told that it is free
    if (this.#count() >= LOCK_LIMIT) {
      this.#reserved.remove(name);
      return webdav.Errors.InsufficientStorage;
    }
    this.#locks.set(name, [...this.#current(name), lock]);
    return undefined;
  }

  #remove(name: string, token: string): boolean {
    const before = this.#current(name);
    const after = before.filter((lock) => lock.uuid !== token);
    this.#keep(name, after);
    return after.length < before.length;
  }

  #adopt(name: string, token: string): webdav.Lock | undefined {
    if (!LOCK_TOKEN.test(token) || this.#current(name).length > 0) return undefined;
    const kind = new webdav.LockKind(webdav.LockScope.Exclusive, webdav.LockType.Write, LOCK_TIMEOUT_S);
    const lock = new webdav.Lock(kind, this.#ownerUid, '', 0);
    lock.uuid = token;
    return this.#add(name, lock) === undefined ? lock : undefined;
  }

  /** Without those that have run out. */
  #current(name: string): webdav.Lock[] {
    const locks = this.#locks.get(name);
    if (!locks) return [];
    const current = locks.filter((lock) => !lock.expired());
    this.#keep(name, current);
    return current;
  }

  #keep(name: string, locks: webdav.Lock[]): void {
    if (locks.length > 0) this.#locks.set(name, locks);
    else this.forget(name);
  }

  #count(): number {
    return [...this.#locks.keys()].reduce((sum, name) => sum + this.#current(name).length, 0);
  }
}
