import type { Extent } from '../qcow2/extents.ts';
import { readExtSuperblock } from './ext-superblock.ts';
import { ensureSaneSize } from './file-system-size.ts';
import { withLoopDevice } from './loop-range.ts';
import { runTool, type MapTools } from './map-tools.ts';
import { readUsedRanges } from './used-blocks.ts';

/**
 * The ranges of a part of a disk that an ext2, ext3 or ext4 file system in it uses, and what lies behind its end.
 * @throws MapDoubt unless it is proven clean and its map believable; OperationFailedError when a program fails.
 */
export const mapExtFileSystem = (path: string, part: Extent, tools: MapTools): Promise<Extent[]> =>
  withLoopDevice(path, part, async (loopDevice) => {
    const { stdout, stderr } = await runTool(tools, 'dumpe2fs', ['-h', loopDevice]);
    const counts = readExtSuperblock(stdout, stderr);
    ensureSaneSize(counts, part.sizeBytes);
    const used = await readUsedRanges('partclone.extfs', loopDevice, part.offsetBytes, counts, tools);
    const sizeBytes = counts.blocks * counts.blockBytes;
    return [...used, { offsetBytes: part.offsetBytes + sizeBytes, sizeBytes: part.sizeBytes - sizeBytes }];
  });
