import { runProgram } from '../../protocol/program.ts';

const TIMEOUT_MS = 120_000;

export interface ByteRange {
  offsetBytes: number;
  sizeBytes: number;
}

/** What belongs to nobody in the ext4 file system that begins there in a raw disk, as dumpe2fs(8) tells. */
export async function freeRangesOf(rawDisk: string, fileSystemOffsetBytes: number): Promise<ByteRange[]> {
  const { stdout } = await runProgram('dumpe2fs', [`${rawDisk}?offset=${fileSystemOffsetBytes}`], { timeoutMs: TIMEOUT_MS });
  const blockBytes = Number(/^Block size:\s+(\d+)$/m.exec(stdout)?.[1]);
  const ranges = [...stdout.matchAll(/^ +Free blocks: (.*)$/gm)].flatMap(([, list = '']) => list.split(', ').filter((text) => text !== ''));
  return ranges.map((range) => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return { offsetBytes: fileSystemOffsetBytes + first * blockBytes, sizeBytes: (last - first + 1) * blockBytes };
  });
}

/** Makes zeros of these ranges: what a file had there is no difference any more. */
export async function clearRanges(file: string, ranges: readonly ByteRange[]): Promise<void> {
  for (const { offsetBytes, sizeBytes } of ranges) await runProgram('fallocate', ['--punch-hole', '--offset', String(offsetBytes), '--length', String(sizeBytes), file], { timeoutMs: TIMEOUT_MS });
}
