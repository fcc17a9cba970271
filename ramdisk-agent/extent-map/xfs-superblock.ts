import { MapDoubt } from './part-decision.ts';
import type { BlockCounts } from './used-blocks.ts';

/** Version 5 in the low bits of versionnum: the one whose metadata have checksums. */
const VERSION_MASK = 0xf;
const VERSION = 5;
/** fs/xfs/libxfs/xfs_format.h of the kernel: finobt, rmapbt, reflink, inobtcount. */
const KNOWN_RO_COMPAT = 0x1 | 0x2 | 0x4 | 0x8;
/** ftype, sparse inodes, meta_uuid, bigtime, nrext64; 0x10 is "needs repair". */
const KNOWN_INCOMPAT = 0x1 | 0x2 | 0x4 | 0x8 | 0x20;
const NEEDS_REPAIR = 0x10;

/**
 * Reads the output of `xfs_db -c 'sb 0' -c p`. Free blocks are counted with those that the free space's own trees
 * occupy (lazy counters), so that a true map has as many used blocks or more.
 * @throws MapDoubt unless it is sound and of a kind that is known here.
 */
export function readXfsSuperblock(stdout: string, stderr: string): BlockCounts {
  if (stderr.trim() !== '') throw new MapDoubt('damaged', `xfs_db says: ${stderr.trim().slice(0, 200)}`);
  const fields = new Map([...stdout.matchAll(/^(\w+) = (.*)$/gm)].map(([, name, value]) => [name!, value!]));
  const number = (name: string): number => Number(/^(\d+|0x[0-9a-f]+)$/.exec(fields.get(name) ?? '')?.[0] ?? NaN);
  if (number('magicnum') !== 0x58465342) throw new MapDoubt('unknown', 'xfs_db shows no superblock that is understood');
  if ((number('versionnum') & VERSION_MASK) !== VERSION) throw new MapDoubt('unknown', 'it is of a version without checksums');
  if (!/ \(correct\)$/.test(fields.get('crc') ?? '')) throw new MapDoubt('damaged', 'the checksum of its superblock is wrong');
  if (number('inprogress') !== 0) throw new MapDoubt('damaged', 'it was never completely made');
  if (!(number('logstart') > 0)) throw new MapDoubt('unknown', 'its log is on another device');
  if (number('rblocks') !== 0) throw new MapDoubt('unknown', 'it has a real-time part on another device');
  if ((number('features_incompat') & NEEDS_REPAIR) !== 0) throw new MapDoubt('damaged', 'it asks for a repair');
  const strange = [number('features_ro_compat') & ~KNOWN_RO_COMPAT, number('features_incompat') & ~KNOWN_INCOMPAT, number('features_compat'), number('features_log_incompat')];
  if (strange.some((bits) => bits !== 0)) throw new MapDoubt('unknown', 'it has features of which nothing is known here');
  return { blockBytes: number('blocksize'), blocks: number('dblocks'), freeBlocks: number('fdblocks'), exact: false };
}

/** Reads the output of `xfs_logprint -t`. @throws MapDoubt unless it says once that the log is clean. */
export function ensureCleanXfsLog(stdout: string, stderr: string): void {
  const states = [...stdout.matchAll(/\bstate: (<\w+>)/g)].map(([, state]) => state);
  if (states.includes('<DIRTY>')) throw new MapDoubt('dirty', 'its log has to be replayed: it was not unmounted');
  if (states.length !== 1 || states[0] !== '<CLEAN>' || stderr.trim() !== '') throw new MapDoubt('unknown', `xfs_logprint does not say whether its log is clean${stderr.trim() && `: ${stderr.trim().slice(0, 200)}`}`);
}
