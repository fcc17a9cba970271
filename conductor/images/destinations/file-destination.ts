import { randomUUID } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { link, lstat, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DigestMeter } from '../../../image-service/digest-meter.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { FileWriter } from '../../../protocol/file-writer.ts';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { NOTE_ENDING, NOTE_LIMIT_BYTES, TakenError, type Destination } from './destination.ts';
import { ExactLength } from './exact-length.ts';
import { atPlace, type FilePlace } from './file-place.ts';

const READ_BYTES = 1024 * 1024;
/** Images hold everything of a server: they are the conductor's user's. */
const MODE = 0o600;
const PARTIAL_ENDING = '.metalshot-part';
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * A file in a directory of the configured roots. It is written under a temporary name beside it (`.NAME.….metalshot-part`),
 * forced to the disk, and only then linked to its name, which fails where there is one already.
 */
export function fileDestination(url: URL, roots: readonly string[]): Destination {
  const at = <T>(work: (place: FilePlace) => Promise<T>): Promise<T> => atPlace(url, roots, work);
  return {
    writesInPlace: false,
    find: () => at(findFile),
    write: (data, sizeBytes, { signal, onProgress }) =>
      at<'proven'>(async (place) => {
        await checkRoom(url, place, sizeBytes);
        await commit(url, place, place.name, (file) => fill(file, data, new ExactLength(sizeBytes, onProgress), signal));
        return 'proven'; // by the digest of what was written, and fsync
      }),
    digest: async (signal) => (await at((place) => readFrom(place, discard(), { signal, hashAlgo: IMAGE_HASH_ALGO, onProgress: () => undefined }))).hashValue,
    read: (destination, options) => at((place) => readFrom(place, destination, options)),
    clear: () => at((place) => clear(place)),
    remove: () =>
      at(async (place) => {
        await rm(place.path(place.name), { force: true });
        await place.directory.sync();
      }),
    readNote: () => at(readNote),
    writeNote: (text) => at((place) => commit(url, place, place.name + NOTE_ENDING, (file) => file.append(Buffer.from(text)))),
  };
}

async function findFile(place: FilePlace): Promise<{ sizeBytes: number; version: string } | null> {
  const found = await statOrNull(place.path(place.name));
  // anything under this name is in the way; only a file can be the image
  return found && { sizeBytes: found.isFile() ? Number(found.size) : -1, version: [found.dev, found.ino, found.size, found.mtimeNs].join('-') };
}

const statOrNull = (path: string): Promise<BigIntStats | null> =>
  lstat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });

async function checkRoom(url: URL, place: FilePlace, sizeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(place.path('.'));
  if (bavail * bsize < sizeBytes) throw new OperationFailedError(`the file system of ${url.href} has ${bavail * bsize} bytes free, and the image has ${sizeBytes}: free some space`, { retryable: false });
}

async function fill(file: FileWriter, data: Readable, meter: ExactLength, signal: AbortSignal): Promise<void> {
  const writer = new Writable({
    write: (chunk: Buffer, _encoding, done) => void file.append(chunk).then(() => done(), done),
  });
  await pipeline(data, meter, writer, { signal });
}

/** Under its name there is a whole file, on the disk, or nothing. */
async function commit(url: URL, place: FilePlace, name: string, write: (file: FileWriter) => Promise<void>): Promise<void> {
  if ((await statOrNull(place.path(name))) !== null) throw new TakenError(url.href);
  const partial = place.path(`.${name}.${randomUUID()}${PARTIAL_ENDING}`);
  const file = await FileWriter.open(partial, CREATE, MODE);
  try {
    try {
      await write(file);
      await file.finish();
    } finally {
      await file.close();
    }
    await giveName(url, partial, place.path(name));
    await place.directory.sync();
  } finally {
    await rm(partial, { force: true });
  }
}

/** As rename, except that it replaces nothing. */
async function giveName(url: URL, partial: string, final: string): Promise<void> {
  try {
    await link(partial, final);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new TakenError(url.href);
    if (code !== 'EPERM' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
    // a file system without hard links (FAT, some network ones): the moment between look and rename is all that is lost
    if ((await statOrNull(final)) !== null) throw new TakenError(url.href);
    await rename(partial, final);
  }
}

async function readFrom(place: FilePlace, destination: Writable, { signal, hashAlgo, onProgress }: Parameters<Destination['read']>[1]): Promise<{ sizeBytes: number; hashValue: string }> {
  const meter = new DigestMeter(hashAlgo, onProgress);
  const file = await open(place.path(place.name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new OperationFailedError(`${place.name} is not a regular file`, { retryable: false });
    await pipeline(file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES }), meter, destination, { signal });
  } finally {
    await file.close();
  }
  return meter.result();
}

/** What a conductor that died has left. */
async function clear(place: FilePlace): Promise<void> {
  const left = (await readdir(place.path('.'))).filter((entry) => entry.endsWith(PARTIAL_ENDING) && [place.name, place.name + NOTE_ENDING].some((name) => isPartialOf(entry, name)));
  for (const entry of left) await rm(place.path(entry), { force: true });
}

/** A UUID is all that may stand between the name and the ending. */
const isPartialOf = (entry: string, name: string): boolean => entry.startsWith(`.${name}.`) && /^[0-9a-f-]{36}$/.test(entry.slice(name.length + 2, -PARTIAL_ENDING.length));

async function readNote(place: FilePlace): Promise<string | null> {
  const path = place.path(place.name + NOTE_ENDING);
  if ((await statOrNull(path)) === null) return null;
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(NOTE_LIMIT_BYTES), 0, NOTE_LIMIT_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

const discard = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });
