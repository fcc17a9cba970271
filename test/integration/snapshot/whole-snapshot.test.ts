import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { Rig } from '../../rig/rig.ts';

describe('a snapshot of a server', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  }, 120_000);
  afterAll(() => rig.close(), 60_000);

  test('ends active with an image equal to the disk, the server back on it, and nothing left on the spool', async () => {
    const node = await rig.enrol();
    expect(rig.machine().runningFrom).toBe('disk');
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    const done = await rig.api.settled(node, 'active', 120_000);
    const view = done.driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', phase: 'finished', image_ref: holder, boot_back: 'done', error: null });

    const image = await rig.image(holder);
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2', container_format: 'bare', os_hash_algo: 'sha512', os_hash_value: view?.os_hash_value, size: view?.size_bytes });
    const copy = join(rig.directory, 'copy.qcow2');
    await new GlanceClient({ url: rig.conductor.imageUrl, token: noToken, timeoutMs: 30_000, log: createLogger('test', 'silent') }).download(holder, createWriteStream(copy));
    expect((await stat(copy)).size).toBe(image.size);
    expect(execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', rig.disks[0]!.path, copy], { encoding: 'utf8' })).toContain('identical');

    expect(rig.machine().runningFrom).toBe('disk');
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd', 'Pxe', 'Hdd']);
    expect(await readdir(join(rig.conductor.directory, 'state', 'spool'))).toEqual([]);
    expect(view?.downtime_s).toBeGreaterThan(0);
    expect(view?.duration_s).toBeGreaterThanOrEqual(view?.downtime_s ?? Infinity);
  }, 180_000);
});
