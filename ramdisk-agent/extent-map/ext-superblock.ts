import { MapDoubt } from './part-decision.ts';
import type { BlockCounts } from './used-blocks.ts';

/** Features (ext4(5), as dumpe2fs names them) with which the block bitmaps mean what they always did. */
const KNOWN_FEATURES: ReadonlySet<string> = new Set([
  'has_journal', 'ext_attr', 'resize_inode', 'dir_index', 'filetype', 'extent', '64bit', 'flex_bg', 'meta_bg', 'sparse_super', 'sparse_super2',
  'large_file', 'huge_file', 'dir_nlink', 'extra_isize', 'metadata_csum', 'metadata_csum_seed', 'uninit_bg', 'quota', 'project', 'inline_data',
  'large_dir', 'ea_inode', 'encrypt', 'verity', 'casefold', 'stable_inodes', 'fast_commit', 'orphan_file',
]);
/** Of these the file system has to be mended before its bitmaps are true. */
const DIRTY_FEATURES: ReadonlySet<string> = new Set(['needs_recovery', 'orphan_present']);
/** All that dumpe2fs says on standard error of a sound file system. */
const BANNER = /^dumpe2fs \S+ \([^)]*\)$/;

/**
 * Reads the output of `dumpe2fs -h`. A journal that has to be replayed shows in `needs_recovery` and in its start: the
 * state stays "clean" while ext3 and ext4 are mounted and after a crash; ext2 is "not clean" then.
 * @throws MapDoubt unless all of it says that nothing has to be replayed or mended.
 */
export function readExtSuperblock(stdout: string, stderr: string): BlockCounts {
  const complaint = stderr.split('\n').find((line) => line.trim() !== '' && !BANNER.test(line));
  if (complaint !== undefined) throw new MapDoubt('damaged', `dumpe2fs says: ${complaint.slice(0, 200)}`);
  const fields = new Map(stdout.split('\n').map(readField));
  if (fields.get('Filesystem magic number') !== '0xEF53') throw new MapDoubt('unknown', 'dumpe2fs shows no superblock that is understood');
  const features = (fields.get('Filesystem features') ?? '(unreadable)').split(/\s+/);
  if (features.some((feature) => DIRTY_FEATURES.has(feature))) throw new MapDoubt('dirty', 'its journal has to be replayed: it was not unmounted');
  const unknown = features.filter((feature) => !KNOWN_FEATURES.has(feature));
  if (unknown.length > 0) throw new MapDoubt('unknown', `it has features of which nothing is known here: ${unknown.join(', ')}`);
  const state = fields.get('Filesystem state');
  if (state !== 'clean') throw new MapDoubt(state?.includes('error') ? 'damaged' : 'dirty', `its state is "${state}"`);
  if (fields.has('FS Error count')) throw new MapDoubt('damaged', 'it has recorded errors');
  if (fields.has('First orphan inode')) throw new MapDoubt('dirty', 'files that were deleted while open have to be cleaned up');
  ensureEmptyJournal(features, fields);
  const number = (name: string): number => Number(/^\d+$/.exec(fields.get(name) ?? '')?.[0] ?? NaN);
  return { blockBytes: number('Block size'), blocks: number('Block count'), freeBlocks: number('Free blocks'), exact: true };
}

/** Name and value of a line, however long it is. */
function readField(line: string): [string, string] {
  const at = line.indexOf(':');
  return at < 0 ? ['', ''] : [line.slice(0, at), line.slice(at + 1).trim()];
}

function ensureEmptyJournal(features: readonly string[], fields: ReadonlyMap<string, string>): void {
  if (fields.has('Journal UUID') || fields.has('Journal device')) throw new MapDoubt('unknown', 'its journal is on another device');
  if (!features.includes('has_journal')) return;
  if (!fields.has('Journal inode')) throw new MapDoubt('damaged', 'its journal is missing');
  if (fields.get('Journal start') !== '0') throw new MapDoubt('dirty', 'its journal is not empty: it was not unmounted');
}
