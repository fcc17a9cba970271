/** Reads what the ramdisk needs to know of ELF files of 64 bits, least significant byte first (elf(5), System V gABI chapters 4 and 5). */
import { InvalidParameterError } from '../../protocol/errors.ts';

const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const HEADER_BYTES = 64;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;

export interface ElfLinks {
  /** Names of shared libraries, as the loader looks them up. */
  needed: string[];
  /** Directories that are searched first. */
  runPaths: string[];
  /** The loader, an absolute path; null for libraries and static programs. */
  interpreter: string | null;
}

interface Segment {
  type: number;
  offset: number;
  address: number;
  sizeBytes: number;
}

export const isElf = (bytes: Buffer): boolean => bytes.length >= HEADER_BYTES && bytes.subarray(0, MAGIC.length).equals(MAGIC);

/** What the loader adds to this program or library. @throws InvalidParameterError when the file is damaged. */
export function readElfLinks(bytes: Buffer): ElfLinks {
  return guarded(bytes, () => {
    const segments = readSegments(bytes);
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    const entries = dynamic ? readDynamic(bytes, dynamic) : [];
    const tableAddress = entries.find(({ tag }) => tag === DT_STRTAB)?.value;
    const texts = (...tags: number[]): string[] =>
      entries.filter(({ tag }) => tags.includes(tag)).map(({ value }) => readText(bytes, offsetOf(segments, tableAddress ?? 0) + value));
    const interpreter = segments.find(({ type }) => type === PT_INTERP);
    return {
      needed: texts(DT_NEEDED),
      runPaths: texts(DT_RPATH, DT_RUNPATH).flatMap((paths) => paths.split(':')),
      interpreter: interpreter ? readText(bytes, interpreter.offset) : null,
    };
  });
}

/** Contents of a section, or null: kernel modules have their description in `.modinfo`. */
export function readElfSection(bytes: Buffer, name: string): Buffer | null {
  return guarded(bytes, () => {
    const table = number64(bytes, 0x28);
    const headers = Array.from({ length: bytes.readUInt16LE(0x3c) }, (_, index) => table + index * bytes.readUInt16LE(0x3a));
    const names = headers[bytes.readUInt16LE(0x3e)];
    const found = headers.find((header) => names !== undefined && readText(bytes, number64(bytes, names + 0x18) + bytes.readUInt32LE(header)) === name);
    return found === undefined ? null : bytes.subarray(number64(bytes, found + 0x18), number64(bytes, found + 0x18) + number64(bytes, found + 0x20));
  });
}

/**
 * The program without what only debuggers read: everything behind the last byte that is loaded, and the section table that
 * points there. Unlike strip(1) the same everywhere.
 */
export function withoutSymbols(bytes: Buffer): Buffer {
  return guarded(bytes, () => {
    const loaded = readSegments(bytes).filter(({ type }) => type === PT_LOAD);
    const program = Buffer.from(bytes.subarray(0, Math.max(HEADER_BYTES, ...loaded.map(({ offset, sizeBytes }) => offset + sizeBytes))));
    program.writeBigUInt64LE(0n, 0x28); // e_shoff
    program.writeUInt16LE(0, 0x3c); // e_shnum
    program.writeUInt16LE(0, 0x3e); // e_shstrndx
    return program;
  });
}

function readSegments(bytes: Buffer): Segment[] {
  const table = number64(bytes, 0x20);
  const entryBytes = bytes.readUInt16LE(0x36);
  return Array.from({ length: bytes.readUInt16LE(0x38) }, (_, index) => {
    const at = table + index * entryBytes;
    return { type: bytes.readUInt32LE(at), offset: number64(bytes, at + 8), address: number64(bytes, at + 16), sizeBytes: number64(bytes, at + 32) };
  });
}

function readDynamic(bytes: Buffer, { offset, sizeBytes }: Segment): { tag: number; value: number }[] {
  const entries = Array.from({ length: sizeBytes / 16 }, (_, index) => ({ tag: number64(bytes, offset + index * 16), value: number64(bytes, offset + index * 16 + 8) }));
  const end = entries.findIndex(({ tag }) => tag === DT_NULL);
  return end < 0 ? entries : entries.slice(0, end);
}

/** Where in the file an address of the loaded program is. */
function offsetOf(segments: readonly Segment[], address: number): number {
  const segment = segments.find((one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.sizeBytes);
  if (!segment) throw new RangeError(`no segment holds address ${address}`);
  return address - segment.address + segment.offset;
}

const number64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at));

function readText(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  if (at < 0 || at >= bytes.length || end < 0) throw new RangeError(`no text at ${at}`);
  return bytes.toString('latin1', at, end);
}

function guarded<T>(bytes: Buffer, read: () => T): T {
  if (!isElf(bytes)) throw new InvalidParameterError('expected an ELF file of 64 bits, least significant byte first');
  try {
    return read();
  } catch (error) {
    if ((error as Error).name === 'RangeError') throw new InvalidParameterError('this ELF file is damaged: an offset in it lies outside of it', {}, error);
    throw error;
  }
}
