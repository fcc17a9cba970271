import { mkdir, open, readFile, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, ForbiddenError, InvalidParameterError, NotFoundError, OperationFailedError } from '../../protocol/errors.ts';
import { UUID_PATTERN } from '../../protocol/provision.ts';
import type { ImageRecord } from './image-record.ts';

/** What stays of a deleted image: its id is never given again. */
interface Tombstone {
  id: string;
  status: 'deleted';
  deleted_at: string;
}

const NEW_SUFFIX = '.new';

/**
 * The metadata of all images: one JSON file each, replaced atomically, and a copy in memory that answers every read.
 * `saving` exists in memory only: an upload that a crash cut off leaves a queued image behind. Changes of one image
 * happen one after the other.
 */
export class ImageStore {
  readonly #directory: string;
  readonly #images = new Map<string, ImageRecord>();
  readonly #deleted = new Set<string>();
  readonly #saving = new Set<string>();
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Reads all files. @throws OperationFailedError naming a file that is damaged: none is ever passed over. */
  async load(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      if (name.endsWith(NEW_SUFFIX)) {
        await unlink(path);
        continue;
      }
      if (!name.endsWith('.json')) continue;
      const record = parseRecord(path, name.slice(0, -'.json'.length), await readFile(path, 'utf8'));
      if (record.status === 'deleted') this.#deleted.add(record.id);
      else this.#images.set(record.id, record);
    }
  }

  all(): ImageRecord[] {
    return [...this.#images.keys()].map((id) => this.get(id));
  }

  has(id: string): boolean {
    return this.#images.has(id);
  }

  /** @throws NotFoundError */
  get(id: string): ImageRecord {
    const record = this.#images.get(id);
    if (record === undefined) throw new NotFoundError(`No image found with ID ${id}`, { image: id });
    return this.#saving.has(id) && record.status === 'queued' ? { ...record, status: 'saving' } : record;
  }

  /** @throws ConflictError when the id is or was in use. */
  create(record: ImageRecord): Promise<ImageRecord> {
    return this.#inTurn(record.id, async () => {
      if (this.#images.has(record.id) || this.#deleted.has(record.id)) throw new ConflictError(`Image ID ${record.id} already exists!`, { image: record.id });
      await this.#write(record.id, record);
      this.#images.set(record.id, record);
      return record;
    });
  }

  /** Stores what `edit` makes of the image; what it throws is thrown and nothing is stored. @throws NotFoundError */
  change(id: string, edit: (record: ImageRecord) => ImageRecord | Promise<ImageRecord>): Promise<ImageRecord> {
    return this.#inTurn(id, async () => {
      const edited = await edit(this.get(id));
      const changed: ImageRecord = { ...edited, status: edited.status === 'saving' ? 'queued' : edited.status, updated_at: new Date().toISOString() };
      await this.#write(id, changed);
      this.#images.set(id, changed);
      return this.get(id);
    });
  }

  /** Deletes the image; its id is remembered. `afterwards` runs before any other change of it. @throws NotFoundError, ForbiddenError */
  remove(id: string, afterwards: () => Promise<void>): Promise<void> {
    return this.#inTurn(id, async () => {
      if (this.get(id).protected) throw new ForbiddenError(`Image ${id} is protected and cannot be deleted.`, { image: id });
      await this.#write(id, { id, status: 'deleted', deleted_at: new Date().toISOString() });
      this.#images.delete(id);
      this.#deleted.add(id);
      await afterwards();
    });
  }

  /** Claims the image for one upload. @throws NotFoundError; ConflictError unless queued; InvalidParameterError without formats. */
  beginSaving(id: string): void {
    const record = this.get(id);
    if (record.status !== 'queued') throw new ConflictError(`Image status transition from ${record.status} to saving is not allowed`, { image: id });
    const unset = (['disk_format', 'container_format'] as const).filter((name) => record[name] === null);
    if (unset.length > 0) throw new InvalidParameterError(`Properties ${unset.join(', ')} must be set prior to saving data.`, { image: id });
    this.#saving.add(id);
  }

  endSaving(id: string): void {
    this.#saving.delete(id);
  }

  /** Resolves when every change that has been asked for is stored or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#changes.values());
  }

  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#changes.get(id) ?? Promise.resolve()).then(work, work);
    this.#changes.set(id, turn);
    const release = (): void => {
      if (this.#changes.get(id) === turn) this.#changes.delete(id);
    };
    turn.then(release, release);
    return turn;
  }

  async #write(id: string, record: ImageRecord | Tombstone): Promise<void> {
    const path = join(this.#directory, `${id}.json`);
    const file = await open(path + NEW_SUFFIX, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(record));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(path + NEW_SUFFIX, path);
    await syncDirectory(this.#directory);
  }
}

/** Makes renames and removals in the directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parseRecord(path: string, id: string, text: string): ImageRecord | Tombstone {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw new OperationFailedError(`${path} is not JSON: the metadata of an image is damaged; restore the file, or move it away to give the image up`, { path }, error);
  }
  const { id: found, status } = (record ?? {}) as { id?: unknown; status?: unknown };
  if (!UUID_PATTERN.test(id) || found !== id || typeof status !== 'string') throw new OperationFailedError(`${path} is not the metadata of image ${id}: found id ${JSON.stringify(found)}; restore the file, or move it away`, { path });
  return record as ImageRecord | Tombstone;
}
