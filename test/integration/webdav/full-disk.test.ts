import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { ServedShare, pathOf, send, until } from '../../unit/webdav/served-share.ts';
import { filesOf, openFilesOf } from '../../unit/webdav/spool-state.ts';

const MIB = 1024 * 1024;

test('a spool whose file system runs full answers 507, keeps the old file, leaves nothing of the new one, and serves on', async () => {
  const spool = await mkdtemp(join(tmpdir(), 'metalshot-spool-'));
  await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'metalshot-spool', spool], { timeoutMs: 10_000 });
  const served = await ServedShare.start({ directory: spool });
  try {
    const guest = await served.invite();
    const put = async (sizeBytes: number): Promise<number> =>
      (await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: Buffer.alloc(sizeBytes, 1), headers: { 'Transfer-Encoding': 'chunked' } })).status;
    expect(await put(4 * MIB)).toBe(201);
    expect(await put(24 * MIB)).toBe(507);
    await until(async () => (await openFilesOf(served)).length === 0);
    expect(await filesOf(served, guest)).toEqual(['disk.qcow2']);
    expect((await served.share.received(guest.uuid, 'disk.qcow2'))?.sizeBytes).toBe(4 * MIB);
    expect(served.share.refusalOf(guest.uuid)).toMatch(/full/);
    expect(await put(8 * MIB)).toBe(200);
  } finally {
    await served.stop();
    await runProgram('umount', [spool], { timeoutMs: 10_000 });
    await rm(spool, { recursive: true });
  }
});
