import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FileWriter } from '../../protocol/file-writer.ts';
import { IMAGE_HASH_ALGO } from '../../protocol/image.ts';
import { syncDirectory } from './image-store.ts';
import { storageFull } from './refusal.ts';
import { VIRTUAL_SIZE_HEADER_BYTES } from './virtual-size.ts';

export interface ReceivedData {
  sizeBytes: number;
  /** Hex MD5. */
  checksum: string;
  /** Hex sha512. */
  osHashValue: string;
  /** The first bytes, for what they tell about the format. */
  header: Buffer;
}

/** The data of images: whole files under `data`, those still being received under `incoming`. */
export class ImageData {
  readonly #data: string;
  readonly #incoming: string;

  constructor(directory: string) {
    this.#data = join(directory, 'data');
    this.#incoming = join(directory, 'incoming');
  }

  /** Removes whatever a crash has left; returns the ids among `owners` whose file is missing or has another size. */
  async recover(owners: ReadonlyMap<string, number>): Promise<string[]> {
    await rm(this.#incoming, { recursive: true, force: true });
    await mkdir(this.#incoming, { recursive: true });
    await mkdir(this.#data, { recursive: true });
    const whole = new Set<string>();
    for (const name of await readdir(this.#data)) {
      const size = owners.get(name);
      if (size === undefined) await rm(join(this.#data, name));
      else if ((await stat(join(this.#data, name))).size === size) whole.add(name);
    }
    return [...owners.keys()].filter((id) => !whole.has(id));
  }

  /** @throws MetalshotError (413) when the file system has no room for so many bytes. */
  async checkRoom(sizeBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#incoming);
    if (sizeBytes > bavail * bsize) throw storageFull(`Image storage media is full: there is not enough disk space for ${sizeBytes} bytes, ${bavail * bsize} are free.`);
  }

  /**
   * Writes the source to the incoming file, digesting it on the way; on disk when it resolves, but not yet the image's
   * data. Reads no faster than the disk takes. The source stays open when this fails, so that its sender can be answered.
   */
  async receive(id: string, source: Readable, checkWanted: () => void): Promise<ReceivedData> {
    const md5 = createHash('md5');
    const sha512 = createHash(IMAGE_HASH_ALGO);
    let header = Buffer.alloc(0);
    let sizeBytes = 0;
    const { O_CREAT, O_WRONLY, O_TRUNC } = constants;
    const file = await FileWriter.open(join(this.#incoming, id), O_CREAT | O_WRONLY | O_TRUNC, 0o600);
    try {
      for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        checkWanted();
        md5.update(chunk);
        sha512.update(chunk);
        await file.append(chunk);
        sizeBytes += chunk.length;
        if (header.length < VIRTUAL_SIZE_HEADER_BYTES) header = Buffer.concat([header, chunk.subarray(0, VIRTUAL_SIZE_HEADER_BYTES - header.length)]);
      }
      await file.finish();
    } finally {
      await file.close();
    }
    return { sizeBytes, checksum: md5.digest('hex'), osHashValue: sha512.digest('hex'), header };
  }

  /** Makes what was received the image's data. */
  async commit(id: string): Promise<void> {
    await rename(join(this.#incoming, id), join(this.#data, id));
    await syncDirectory(this.#data);
  }

  /** Nothing there: fine. */
  async remove(id: string): Promise<void> {
    await rm(join(this.#incoming, id), { force: true });
    await rm(join(this.#data, id), { force: true });
  }

  open(id: string): Promise<FileHandle> {
    return open(join(this.#data, id), 'r');
  }
}
