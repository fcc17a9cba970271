/**
 * Writes "newc" cpio archives, the format of a Linux initramfs (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
 * The same entries give the same bytes: inode numbers count up, owner is root, nothing of the writing machine gets in.
 */
import { InvalidParameterError } from './errors.ts';

interface CpioEntryBase {
  /** Relative to the root, without a leading slash: `etc/metalshot/ramdisk.json`. */
  path: string;
  /** Permission bits (with setuid, setgid, sticky). Default: 0755 for directories and devices 0600, files 0644, symlinks 0777. */
  mode?: number;
}

export type CpioEntry =
  | (CpioEntryBase & { type: 'directory' })
  | (CpioEntryBase & { type: 'file'; content: Buffer | string })
  | (CpioEntryBase & { type: 'symlink'; target: string })
  | (CpioEntryBase & { type: 'character-device' | 'block-device'; major: number; minor: number });

export interface CpioOptions {
  /** Modification time of every entry, seconds since 1970. Default 0. */
  mtime?: number;
}

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
const ALIGNMENT = 4;
const LARGEST_FIELD = 0xffff_ffff;
const FILE_TYPES = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'character-device': 0o020000, 'block-device': 0o060000 } as const;
const MODES = { directory: 0o755, file: 0o644, symlink: 0o777, 'character-device': 0o600, 'block-device': 0o600 } as const;

/** The archive as one buffer, entries in the order given; a directory has to come before what lies in it. @throws InvalidParameterError on a path that an archive cannot hold. */
export function createCpioArchive(entries: Iterable<CpioEntry>, options: CpioOptions = {}): Buffer {
  return Buffer.concat([...cpioPieces(entries, options)]);
}

/** The same archive piece by piece, for one that is too large to be in memory twice: `entries` may be a generator that reads files as they are asked for. */
export function* cpioPieces(entries: Iterable<CpioEntry>, { mtime = 0 }: CpioOptions = {}): Generator<Buffer> {
  let inode = 0;
  const seen = new Set<string>();
  for (const entry of entries) {
    checkPath(entry.path, seen);
    const content = contentOf(entry);
    yield header({
      inode: ++inode,
      mode: FILE_TYPES[entry.type] | (entry.mode ?? MODES[entry.type]),
      links: entry.type === 'directory' ? 2 : 1,
      mtime,
      sizeBytes: content.length,
      device: 'major' in entry ? entry : { major: 0, minor: 0 },
      name: entry.path,
    });
    yield content;
    yield padding(content.length);
  }
  yield header({ inode: 0, mode: 0, links: 1, mtime: 0, sizeBytes: 0, device: { major: 0, minor: 0 }, name: TRAILER });
}

function contentOf(entry: CpioEntry): Buffer {
  if (entry.type === 'file') return typeof entry.content === 'string' ? Buffer.from(entry.content) : entry.content;
  return Buffer.from(entry.type === 'symlink' ? entry.target : '');
}

interface Header {
  inode: number;
  mode: number;
  links: number;
  mtime: number;
  sizeBytes: number;
  device: { major: number; minor: number };
  name: string;
}

/** Thirteen fields of eight hexadecimal digits after the magic number, then the name, padded so that what follows is aligned. */
function header({ inode, mode, links, mtime, sizeBytes, device, name }: Header): Buffer {
  const nameBytes = Buffer.from(`${name}\0`);
  const owner = 0;
  const fields = [inode, mode, owner, owner, links, mtime, sizeBytes, 0, 0, device.major, device.minor, nameBytes.length, 0];
  if (fields.some((field) => !Number.isInteger(field) || field < 0 || field > LARGEST_FIELD)) {
    throw new InvalidParameterError(`${name}: a cpio header holds whole numbers of 32 bits, found ${fields.join(' ')}`);
  }
  const text = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([Buffer.from(text), nameBytes, padding(text.length + nameBytes.length)]);
}

const padding = (sizeBytes: number): Buffer => Buffer.alloc((ALIGNMENT - (sizeBytes % ALIGNMENT)) % ALIGNMENT);

function checkPath(path: string, seen: Set<string>): void {
  const parts = path.split('/');
  if (path === TRAILER || path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new InvalidParameterError(`expected a relative path without empty, "." and ".." parts for a cpio archive, found ${JSON.stringify(path)}`);
  }
  if (seen.has(path)) throw new InvalidParameterError(`${path} is in the cpio archive twice`);
  seen.add(path);
}
