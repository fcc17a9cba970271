import { describe, expect, test } from '@jest/globals';
import { DdrescueMapReader } from '../../../../ramdisk-agent/extent-map/ddrescue-map.ts';

const MIB = 1024 ** 2;
const HEAD = '# Domain logfile created by unset_name v0.3.23\n# current_pos  current_status\n0x00300000     ?\n#      pos        size  status\n';
const MAP = `${HEAD}0x00000000  0x00100000  +\n0x00100000  0x00100000  ?\n0x00200000  0x00100000  +\n`;

function read(text: string, pieceLength = text.length): ReturnType<DdrescueMapReader['finish']> {
  const reader = new DdrescueMapReader(8 * MIB);
  for (let at = 0; at < text.length; at += pieceLength) reader.add(text.slice(at, at + pieceLength));
  return reader.finish(3 * MIB);
}

test.each([[1], [7], [10_000]])('a map that comes in pieces of %i characters gives the used ranges of the disk', (pieceLength) => {
  expect(read(MAP, pieceLength)).toEqual({ extents: [{ offsetBytes: 8 * MIB, sizeBytes: MIB }, { offsetBytes: 10 * MIB, sizeBytes: MIB }], usedBytes: 2 * MIB });
});

test('small free ranges count as used, but not in the figure that is compared with the superblock', () => {
  const map = `${HEAD}0x0 0x100000 +\n0x100000 0x1000 ?\n0x101000 0xFF000 +\n0x200000 0x100000 ?\n`;
  expect(read(map)).toEqual({ extents: [{ offsetBytes: 8 * MIB, sizeBytes: 2 * MIB }], usedBytes: 2 * MIB - 4096 });
});

describe('a map that is not understood to the last character is worthless', () => {
  test.each([
    ['nothing', ''],
    ['the head only', HEAD],
    ['it ends early', MAP.slice(0, MAP.lastIndexOf('0x00200000'))],
    ['it ends within a line', MAP.slice(0, -1)],
    ['it goes on behind the end', `${MAP}0x00300000  0x00100000  ?\n`],
    ['a gap', MAP.replace('0x00100000  0x00100000  ?\n', '')],
    ['an overlap', MAP.replace('0x00200000  0x', '0x00180000  0x')],
    ['a line twice', MAP.replace(/(0x00100000 .*\n)/, '$1$1')],
    ['another status', MAP.replace('  ?\n0x002', '  -\n0x002')],
    ['an empty line', MAP.replace('0x00200000', '\n0x00200000')],
    ['an empty range', MAP.replace('0x00200000', '0x00200000 0x0 ?\n0x00200000')],
    ['a number that is none', MAP.replace('0x00200000', '0x0020000g')],
    ['a number without its prefix', MAP.replace('0x00200000', '00200000')],
    ['a number that is too large', MAP.replace('0x00100000  +\n', '0xFFFFFFFFFFFFFFFF  +\n')],
    ['something behind a status', MAP.replace('  ?\n0x002', '  ? x\n0x002')],
    ['a message between', MAP.replace('0x00200000', 'partclone: error\n0x00200000')],
    ['no position', MAP.replace('0x00300000     ?\n', '')],
    ['a line without end', `${HEAD}${'0'.repeat(100_000)}`],
  ])('%s', (_what, text) => {
    for (const pieceLength of [text.length || 1, 3]) expect(read(text, pieceLength)).toEqual({ problem: expect.any(String) });
  });
});
