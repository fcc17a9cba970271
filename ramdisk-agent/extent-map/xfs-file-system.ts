import type { Extent } from '../qcow2/extents.ts';
import { ensureSaneSize } from './file-system-size.ts';
import { withLoopDevice } from './loop-range.ts';
import { runTool, type MapTools } from './map-tools.ts';
import { readUsedRanges } from './used-blocks.ts';
import { ensureCleanXfsLog, readXfsSuperblock } from './xfs-superblock.ts';

/**
 * The ranges of a part of a disk that an XFS in it uses, and what lies behind its end.
 * @throws MapDoubt unless it is proven clean and its map believable; OperationFailedError when a program fails.
 */
export const mapXfs = (path: string, part: Extent, tools: MapTools): Promise<Extent[]> =>
  withLoopDevice(path, part, async (loopDevice) => {
    const superblock = await runTool(tools, 'xfs_db', ['-r', '-c', 'sb 0', '-c', 'p', loopDevice]);
    const counts = readXfsSuperblock(superblock.stdout, superblock.stderr);
    ensureSaneSize(counts, part.sizeBytes);
    const log = await runTool(tools, 'xfs_logprint', ['-t', loopDevice]);
    ensureCleanXfsLog(log.stdout, log.stderr);
    const used = await readUsedRanges('partclone.xfs', loopDevice, part.offsetBytes, counts, tools);
    const sizeBytes = counts.blocks * counts.blockBytes;
    return [...used, { offsetBytes: part.offsetBytes + sizeBytes, sizeBytes: part.sizeBytes - sizeBytes }];
  });
