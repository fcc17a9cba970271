import { createHash } from 'node:crypto';
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';

/** What of the manifest that `npm run ramdisk` writes we go by. */
const manifestSchema = z.looseObject({
  files: z.record(z.string(), z.looseObject({ size_bytes: z.number().int().positive(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
});
const IMAGE_FILES = ['vmlinuz', 'initramfs'] as const;
export type ImageFile = (typeof IMAGE_FILES)[number];

/** A kernel and an initramfs that were built together. Both are held open: they stay what they are when others take their names. */
interface RamdiskImage {
  key: string;
  files: Readonly<Record<ImageFile, { handle: FileHandle; sizeBytes: number }>>;
}

/** How many images are held: machines that got a script shortly before a new image was built still find theirs. */
const KEPT_IMAGES = 3;

/** Kernel and initramfs of the ramdisk, as they are now and as they were for machines that are still loading. */
export class RamdiskImages {
  readonly #directory: string;
  readonly #log: Logger;
  /** Oldest first. */
  readonly #held = new Map<string, RamdiskImage>();
  #opening: Promise<RamdiskImage> | null = null;
  #isClosed = false;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /**
   * The key of the image that the directory holds, compared with its manifest when it is new. While a new one is being
   * put there it is the one before.
   * @throws InvalidParameterError when there is none.
   */
  async currentKey(): Promise<string> {
    this.#opening ??= this.#openCurrent().finally(() => (this.#opening = null));
    return (await this.#opening).key;
  }

  /** A handle of the caller's own, to be closed by it; null: there is no image with this key (any more). */
  async open(key: string, name: ImageFile): Promise<{ handle: FileHandle; sizeBytes: number } | null> {
    if (!this.#held.has(key) && (await this.#currentKeyOrNull()) !== key) return null; // after a restart nothing is held yet
    const file = this.#held.get(key)?.files[name];
    return file ? { handle: await open(`/proc/self/fd/${file.handle.fd}`), sizeBytes: file.sizeBytes } : null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined); // whoever asked for it is told
    await this.#letGoDownTo(0);
  }

  async #currentKeyOrNull(): Promise<string | null> {
    return this.currentKey().catch((error: unknown) => {
      this.#log.warn({ reason: messageOf(error) }, 'there is no ramdisk');
      return null;
    });
  }

  async #openCurrent(): Promise<RamdiskImage> {
    try {
      const manifest = await readManifest(this.#directory);
      const key = createHash('sha256').update(JSON.stringify(IMAGE_FILES.map((name) => manifest[name].sha256))).digest('hex').slice(0, 32);
      const held = this.#held.get(key);
      if (held) return held;
      const image = { key, files: await openFiles(this.#directory, manifest) };
      this.#held.set(key, image);
      await this.#letGoDownTo(this.#isClosed ? 0 : KEPT_IMAGES);
      return image;
    } catch (error) {
      const before = [...this.#held.values()].at(-1);
      if (!before) throw error;
      this.#log.warn({ reason: messageOf(error) }, 'the ramdisk in the directory can not be used (now): machines get the one before');
      return before;
    }
  }

  async #letGoDownTo(count: number): Promise<void> {
    for (const [key, image] of [...this.#held].slice(0, Math.max(0, this.#held.size - count))) {
      this.#held.delete(key);
      await closeAll(IMAGE_FILES.map((name) => image.files[name].handle));
    }
  }
}

type Manifest = Readonly<Record<ImageFile, { size_bytes: number; sha256: string }>>;

async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, 'manifest.json');
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new InvalidParameterError(`boot.ramdisk_directory: ${path} cannot be read (${messageOf(error)}): build the ramdisk with "npm run ramdisk", or name the directory in which it is`, {}, error);
  });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`boot.ramdisk_directory: ${path} is not JSON: build the ramdisk anew with "npm run ramdisk"`, {}, error);
  }
  const { vmlinuz, initramfs } = manifestSchema.safeParse(document).data?.files ?? {};
  if (!vmlinuz || !initramfs) throw new InvalidParameterError(`boot.ramdisk_directory: ${path} does not tell size and digest of vmlinuz and initramfs: build the ramdisk anew with "npm run ramdisk"`);
  return { vmlinuz, initramfs };
}

async function openFiles(directory: string, manifest: Manifest): Promise<RamdiskImage['files']> {
  const opened: FileHandle[] = [];
  const openOne = async (name: ImageFile): Promise<{ handle: FileHandle; sizeBytes: number }> => {
    const path = join(directory, name);
    const handle = await open(path).catch((error: unknown) => {
      throw new InvalidParameterError(`boot.ramdisk_directory: ${path} cannot be read (${messageOf(error)}): build the ramdisk anew with "npm run ramdisk"`, {}, error);
    });
    opened.push(handle);
    const { size } = await handle.stat();
    const digest = createHash('sha256');
    for await (const piece of handle.createReadStream({ start: 0, autoClose: false, highWaterMark: 1024 ** 2 })) digest.update(piece as Buffer);
    const { size_bytes: sizeBytes, sha256 } = manifest[name];
    if (size !== sizeBytes || digest.digest('hex') !== sha256) throw new InvalidParameterError(`boot.ramdisk_directory: ${path} is not the file of which manifest.json tells; it is being built, or damaged: build the ramdisk anew with "npm run ramdisk"`);
    return { handle, sizeBytes };
  };
  try {
    return { vmlinuz: await openOne('vmlinuz'), initramfs: await openOne('initramfs') };
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

const closeAll = async (handles: readonly FileHandle[]): Promise<void> => {
  for (const handle of handles) await handle.close();
};
