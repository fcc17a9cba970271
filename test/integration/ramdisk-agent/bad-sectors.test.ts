import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { streamImageResultSchema } from '../../../protocol/agent-api.ts';
import { AgentStage } from './agent-stage.ts';
import { LoopDisk } from './loop-disk.ts';

const MIB = 1024 ** 2;
const BLOCK_BYTES = 4096;
/** Behind the partition table, before the first partition, where no program looks for signatures. */
const BAD_BLOCK = 100;
const BAD = { offset_bytes: BAD_BLOCK * BLOCK_BYTES, size_bytes: BLOCK_BYTES };
/** Mounted in a namespace that ends with this program; the loop device keeps the file. */
const ATTACH = 'mount -t ext4 -o ro,loop "$1" "$2" && losetup --find --show --read-only --direct-io=on "$2/disk.img"';

/** The disk's file is on a file system that has lost where one of its blocks is: the kernel answers reads of that with EIO, as of a bad sector (with direct I/O below, or its own page cache would make more of it bad). */
async function attachWithBadBlock(directory: string): Promise<string> {
  const disk = await LoopDisk.create(directory, 8 * MIB);
  await disk.detach();
  const [content, place, fileSystem] = [join(directory, 'holds'), join(directory, 'mounted'), join(directory, 'holds.img')];
  for (const path of [content, place]) await mkdir(path);
  await rename(disk.imagePath, join(content, 'disk.img'));
  execFileSync('mke2fs', ['-q', '-t', 'ext2', '-b', String(BLOCK_BYTES), '-d', content, fileSystem, '512M']);
  execFileSync('debugfs', ['-w', '-R', `bmap disk.img ${BAD_BLOCK} 4000000`, fileSystem], { stdio: 'pipe' });
  return execFileSync('unshare', ['--mount', '--propagation', 'private', '--', 'sh', '-c', ATTACH, 'attach', fileSystem, place], { encoding: 'utf8' }).trim();
}

describe('a disk with a block that can not be read', () => {
  let directory: string;
  let device: string | undefined;
  let stage: AgentStage | undefined;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-disk-'));
    device = await attachWithBadBlock(directory);
    stage = await AgentStage.start({ device });
  }, 60_000);
  afterEach(async () => {
    await stage?.close();
    if (device !== undefined) execFileSync('losetup', ['--detach', device]);
    [stage, device] = [undefined, undefined];
    await rm(directory, { recursive: true, force: true });
  });

  const captured = async (params: Record<string, unknown>): Promise<Awaited<ReturnType<AgentStage['ended']>>> => stage!.ended(await stage!.capture(params));

  test('fails the capture by default, naming disk and place', async () => {
    const { command_status: status, command_error: error } = await captured({ method: 'auto' });
    expect(status).toBe('FAILED');
    expect(error?.message).toMatch(new RegExp(`${device} cannot be read at \\d+`));
    expect(await stage!.share.received(stage!.snapshotUuid, stage!.imageName)).toBeNull();
  }, 120_000);

  test('is captured with "zero": what is lost is zeros, and the report says where', async () => {
    const { command_result: result, command_error: error } = await captured({ method: 'auto', on_read_error: 'zero' });
    expect(error).toBeNull();
    const { report } = streamImageResultSchema.parse(result);
    expect(report).toMatchObject({ method: 'stream', fallback_reason: null, unreadable: [BAD] });
    expect(await stage!.share.received(stage!.snapshotUuid, stage!.imageName)).not.toBeNull();
  }, 120_000);

  test('is refused through the mount with "zero": qemu-img does not say what it has lost', async () => {
    const { command_error: error } = await captured({ method: 'mount', on_read_error: 'zero' });
    expect(error?.message).toMatch(/on_read_error "zero" needs the method "stream"/);
  }, 60_000);
});
