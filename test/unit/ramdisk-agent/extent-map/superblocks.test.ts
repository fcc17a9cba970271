import { describe, expect, test } from '@jest/globals';
import { readExtSuperblock } from '../../../../ramdisk-agent/extent-map/ext-superblock.ts';
import { ensureSaneSize } from '../../../../ramdisk-agent/extent-map/file-system-size.ts';
import { describePart } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import { ensureCleanXfsLog, readXfsSuperblock } from '../../../../ramdisk-agent/extent-map/xfs-superblock.ts';

const EXT = `Filesystem volume name:   <none>
Filesystem magic number:  0xEF53
Filesystem features:      has_journal ext_attr extent 64bit metadata_csum
Filesystem state:         clean
Block count:              65536
Free blocks:              56023
Block size:               1024
Journal inode:            8
Journal start:            0
`;
const BANNER = 'dumpe2fs 1.47.0 (5-Feb-2023)\n';
const XFS = `magicnum = 0x58465342
blocksize = 4096
dblocks = 102400
rblocks = 0
logstart = 65542
versionnum = 0xb4a5
inprogress = 0
fdblocks = 85984
features_compat = 0
features_ro_compat = 0xd
features_incompat = 0xb
features_log_incompat = 0
crc = 0x6bce1907 (correct)
`;

describe('an ext superblock', () => {
  test('of a clean file system gives its block counts', () => {
    expect(readExtSuperblock(EXT, BANNER)).toEqual({ blockBytes: 1024, blocks: 65_536, freeBlocks: 56_023, exact: true });
  });
  test.each([
    ['has_journal', 'has_journal needs_recovery', 'dirty'],
    ['has_journal', 'has_journal orphan_present', 'dirty'],
    ['has_journal', 'has_journal FEATURE_I31', 'unknown'],
    ['state:         clean', 'state:         not clean', 'dirty'],
    ['state:         clean', 'state:         clean with errors', 'damaged'],
    ['state:         clean', 'state:         not clean with errors', 'damaged'],
    ['Filesystem state:         clean\n', '', 'dirty'],
    ['Journal start:            0', 'Journal start:            1', 'dirty'],
    ['Journal start:            0\n', '', 'dirty'],
    ['Journal inode:            8\n', '', 'damaged'],
    ['Journal inode:            8', 'Journal device:           0x0801', 'unknown'],
    ['Journal inode:', 'Journal UUID:             x\nJournal inode:', 'unknown'],
    ['Block size:', 'FS Error count:           3\nBlock size:', 'damaged'],
    ['Block size:', 'First orphan inode:       12\nBlock size:', 'dirty'],
    ['0xEF53', '0xEF54', 'unknown'],
    [/Filesystem features.*\n/, '', 'unknown'],
  ])('with %s as %j is not believed (%s)', (from, to, state) => {
    expect(() => readExtSuperblock(EXT.replace(from, to), BANNER)).toThrow(expect.objectContaining({ state }));
  });
  test('with complaints of dumpe2fs is not believed', () => {
    expect(() => readExtSuperblock(EXT, `${BANNER}Journal superblock magic number invalid!\n`)).toThrow('dumpe2fs says: Journal superblock magic number invalid!');
  });
});

describe('an XFS superblock', () => {
  test('of a sound file system gives its block counts', () => {
    expect(readXfsSuperblock(XFS, '')).toEqual({ blockBytes: 4096, blocks: 102_400, freeBlocks: 85_984, exact: false });
  });
  test.each([
    ['(correct)', '(bad)', 'damaged'],
    ['inprogress = 0', 'inprogress = 1', 'damaged'],
    ['logstart = 65542', 'logstart = 0', 'unknown'],
    ['rblocks = 0', 'rblocks = 8', 'unknown'],
    ['rblocks = 0\n', '', 'unknown'],
    ['0xb4a5', '0xb4a4', 'unknown'],
    ['features_incompat = 0xb', 'features_incompat = 0x1b', 'damaged'],
    ['features_incompat = 0xb', 'features_incompat = 0x10b', 'unknown'],
    ['features_ro_compat = 0xd', 'features_ro_compat = 0x1d', 'unknown'],
    ['features_log_incompat = 0', 'features_log_incompat = 0x1', 'unknown'],
    ['0x58465342', '0x58465343', 'unknown'],
  ])('with %s as %j is not believed (%s)', (from, to, state) => {
    expect(() => readXfsSuperblock(XFS.replace(from, to), '')).toThrow(expect.objectContaining({ state }));
  });
  test('with complaints of xfs_db is not believed', () => {
    expect(() => readXfsSuperblock(XFS, 'Metadata CRC error detected')).toThrow('xfs_db says');
  });
});

describe('the log of an XFS', () => {
  test.each([['    log tail: 2 head: 2 state: <CLEAN>\n', '', null], ['state: <DIRTY>', '', 'dirty'], ['state: <CLEAN>\nstate: <DIRTY>', '', 'dirty'], ['', '', 'unknown'], ['state: <CLEAN>', 'bad', 'unknown'], ['state: <clean>', '', 'unknown']])('%j, %j: %s', (stdout, stderr, state) => {
    const check = (): void => ensureCleanXfsLog(stdout, stderr);
    if (state === null) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ state }));
  });
});

test.each([
  [NaN, 10, 5], [4096, NaN, 5], [4096, 10, NaN], [4096, 10, 11], [4096, 0, 0], [1, 10, 5], [131_072, 10, 5], [4096, 1.5, 1], [4096, -1, 0], [4096, 2 ** 53, 1], [4096, 11, 1],
])('figures that cannot be (blocks of %p bytes, %p of them, %p free) are not believed', (blockBytes, blocks, freeBlocks) => {
  expect(() => ensureSaneSize({ blockBytes, blocks, freeBlocks, exact: true }, 10 * 4096)).toThrow(expect.objectContaining({ state: 'damaged' }));
});

test('a decision reads as a line', () => {
  const GIB = 1024 ** 3;
  const part = { what: 'partition 2', offsetBytes: 0, sizeBytes: 7.9 * GIB, content: 'ext4', state: 'clean', treatment: 'mapped', usedBytes: 1.6572 * GIB, reason: null } as const;
  expect(describePart(part)).toBe('partition 2: ext4, clean, 1.66 of 7.9 GiB used, mapped');
  expect(describePart({ ...part, content: null, state: 'unknown', treatment: 'read in full', sizeBytes: 1024 ** 2, reason: 'it is in no partition' })).toBe('partition 2: 1 MiB, read in full (it is in no partition)');
});
