/**
 * A libicudata without data, as ICU's own sources have one ("stubdata", for programs that need no locales and no tables of
 * exotic encodings). libxml2, by which mount.davfs reads XML in UTF-8, is linked to ICU; its real data are 30 MB of memory.
 */
const PAGE_BYTES = 4096;
const PROGRAM_HEADER_BYTES = 56;
const SYMBOL_BYTES = 24;
/** DataHeader of ICU's udata format: size, magic, then UDataInfo: size, little-endian, ASCII, 2-byte characters, "CmnD", versions; then a table of no entries. */
const DATA = Buffer.concat([Buffer.from([32, 0, 0xda, 0x27, 20, 0, 0, 0, 0, 0, 2, 0]), Buffer.from('CmnD'), Buffer.from([1, 0, 0, 0]), Buffer.alloc(12), Buffer.alloc(16)]);

/** The library's bytes; `soname`: `libicudata.so.72`, from which the name of its only symbol follows. */
export function createEmptyIcuData(soname: string): Buffer {
  const symbol = `icudt${soname.split('.').at(-1)}_dat`;
  const names = Buffer.from(`\0${soname}\0${symbol}\0`);
  const symbolName = soname.length + 2;

  const headers = 3;
  const data = align(64 + headers * PROGRAM_HEADER_BYTES);
  const symbols = align(data + DATA.length);
  const hash = symbols + 2 * SYMBOL_BYTES;
  const dynamic = align(hash + 5 * 4);
  const tags: readonly (readonly [tag: number, value: number])[] = [[14, 1], [4, hash], [5, dynamic + 7 * 16], [6, symbols], [10, names.length], [11, SYMBOL_BYTES], [0, 0]];
  const text = dynamic + tags.length * 16;

  const file = Buffer.alloc(text + names.length);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file);
  writeNumbers(file, 16, [[2, 3], [2, 62], [4, 1], [8, 0], [8, 64], [8, 0], [4, 0], [2, 64], [2, PROGRAM_HEADER_BYTES], [2, headers], [2, 64], [2, 0], [2, 0]]);
  const [LOAD, DYNAMIC, STACK] = [1, 2, 0x6474e551];
  const READ_WRITE = 6; // the loader writes addresses into the dynamic section
  writeProgramHeader(file, 0, LOAD, READ_WRITE, 0, file.length, PAGE_BYTES);
  writeProgramHeader(file, 1, DYNAMIC, READ_WRITE, dynamic, tags.length * 16, 8);
  writeProgramHeader(file, 2, STACK, READ_WRITE, 0, 0, 16);
  DATA.copy(file, data);
  const GLOBAL_OBJECT = 0x11;
  const SOME_SECTION = 1; // not absolute: it moves with the library
  writeNumbers(file, symbols + SYMBOL_BYTES, [[4, symbolName], [1, GLOBAL_OBJECT], [1, 0], [2, SOME_SECTION], [8, data], [8, DATA.length]]);
  writeNumbers(file, hash, [[4, 1], [4, 2], [4, 1], [4, 0], [4, 0]]); // one bucket with symbol 1
  writeNumbers(file, dynamic, tags.flatMap(([tag, value]) => [[8, tag], [8, value]] as const));
  names.copy(file, text);
  return file;
}

function writeProgramHeader(file: Buffer, index: number, type: number, flags: number, offset: number, sizeBytes: number, alignment: number): void {
  writeNumbers(file, 64 + index * PROGRAM_HEADER_BYTES, [[4, type], [4, flags], [8, offset], [8, offset], [8, offset], [8, sizeBytes], [8, sizeBytes], [8, alignment]]);
}

function writeNumbers(file: Buffer, offset: number, numbers: readonly (readonly [sizeBytes: number, value: number])[]): void {
  let at = offset;
  for (const [sizeBytes, value] of numbers) {
    if (sizeBytes === 8) file.writeBigUInt64LE(BigInt(value), at);
    else file.writeUIntLE(value, at, sizeBytes);
    at += sizeBytes;
  }
}

const align = (offset: number): number => Math.ceil(offset / 16) * 16;
