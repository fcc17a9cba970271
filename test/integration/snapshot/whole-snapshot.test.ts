import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { compareFiles } from '../../../demo/proof.ts';
import { countFiles } from '../../../demo/tree-listing.ts';
import type { Image } from '../../../protocol/image.ts';
import { manifestOf } from '../../../protocol/image-manifest.ts';
import type { SnapshotView } from '../../../protocol/provision.ts';
import { differenceOf, ImageFiles } from '../../rig/image-files.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { faultString } from '../../rig/baremetal-api.ts';
import { Rig } from '../../rig/rig.ts';

describe('a snapshot of a server', () => {
  let rig: Rig;
  let node: string;
  beforeAll(async () => {
    rig = await Rig.start();
    node = await rig.enrol();
  }, 120_000);
  afterAll(() => rig.close(), 60_000);

  /** Takes one, and looks at what every one has to leave. */
  async function take(options: Record<string, unknown> = {}): Promise<{ view: SnapshotView; image: Image; copy: string }> {
    const boots = rig.machine().bootLog.length;
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder, ...options });
    const done = await rig.api.settled(node, 'active', 120_000);
    const view = done.driver_internal_info.snapshot!;
    expect(view).toMatchObject({ status: 'done', phase: 'finished', image_ref: holder, boot_back: 'done', error: null });
    const image = await rig.image(holder);
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2', container_format: 'bare', os_hash_algo: 'sha512', os_hash_value: view.os_hash_value, size: view.size_bytes });
    const copy = join(rig.directory, 'copy.qcow2');
    await new ImageFiles(rig.conductor.imageUrl).download(holder, copy);
    expect((await stat(copy)).size).toBe(image.size);
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', copy]);
    expect(rig.machine().bootLog.slice(boots).map((boot) => boot.target)).toEqual(['Pxe', 'Hdd']);
    await expectServerAsBefore(rig);
    expect(view.downtime_s).toBeGreaterThan(0);
    expect(view.duration_s).toBeGreaterThanOrEqual(view.downtime_s ?? Infinity);
    return { view, image, copy };
  }
  const differenceFromDisk = (copy: string): Promise<string | null> => differenceOf({ path: rig.disks[0]!.path, format: 'raw' }, { path: copy, format: 'qcow2' });

  test('streams what is used of the disk by default: every file is in the image, and what was deleted is not; report and manifest tell what was done', async () => {
    const { view, image, copy } = await take();
    expect(await compareFiles(rig.disks[0]!, copy, rig.directory)).toBe(countFiles(rig.disks[0]!.content));
    expect(await differenceFromDisk(copy)).toMatch(/mismatch/); // deleted data, and nothing else: the files are those of the disk
    expect(view.options).toMatchObject({ snapshot_method: 'auto', full: false, on_read_error: 'fail', compression: 'auto', intermediate_storage: 'auto' });
    expect(view.report).toMatchObject({ method: 'stream', fallback_reason: null, attempts: 1, unreadable: [] });
    expect(view.report?.parts.filter(({ treatment }) => treatment === 'mapped')).toEqual([expect.objectContaining({ content: 'ext4', summary: expect.stringMatching(/partition 2: ext4, clean, .* used, mapped/) })]);
    expect(view.report?.bytes_read).toBeLessThan(rig.disks[0]!.sizeBytes / 4);
    expect(view.prediction).toMatchObject({ image_bytes: image.size });
    expect(manifestOf(image)?.capture).toMatchObject({ method: 'stream', parts_omitted: 0, parts: view.report?.parts });
  }, 180_000);

  test('"full" takes deleted data too: the image equals the disk', async () => {
    const { view, copy } = await take({ full: true });
    expect(await differenceFromDisk(copy)).toBeNull();
    expect(view.report).toMatchObject({ method: 'stream' });
  }, 180_000);

  test('relayed goes straight to the image service: with nothing on the spool, whose reserve does not matter', async () => {
    await rig.conductor.process.stop();
    await rig.conductor.restart({ environment: { METALSHOT_SNAPSHOT__SPOOL_RESERVE_BYTES: String(1024 ** 5) } });
    try {
      const refused = await rig.api.provision(node, 'snapshot', { image_ref: await rig.createHolder(), intermediate_storage: 'spool' });
      expect(refused.status).toBe(503);
      const { copy } = await take({ intermediate_storage: 'relay', compression: 'zstd' });
      await compareFiles(rig.disks[0]!, copy, rig.directory);
      expect(rig.conductor.process.lines.filter((line) => line.msg === 'the image goes straight to the image service')).toHaveLength(1);
    } finally {
      await rig.conductor.process.stop();
      await rig.conductor.restart();
    }
  }, 180_000);

  test('through the mount, where the request says so: the image equals the disk', async () => {
    const { view, copy } = await take({ snapshot_method: 'mount' });
    expect(await differenceFromDisk(copy)).toBeNull();
    expect(view).toMatchObject({ options: { snapshot_method: 'mount' }, prediction: null, report: { method: 'mount', fallback_reason: null, parts: [{ treatment: 'read in full' }] } });
  }, 180_000);

  test('through the mount, where the node says so; the request goes over the node', async () => {
    const say = (value: unknown, name = 'snapshot_method'): Promise<unknown> => rig.api.expect(200, 'PATCH', `/v1/nodes/${node}`, [{ op: 'add', path: `/driver_info/${name}`, value }]);
    await say('mount');
    await say('30m', 'snapshot_max_downtime');
    try {
      expect((await take()).view).toMatchObject({ options: { snapshot_method: 'mount', max_downtime: 1_800 }, report: { method: 'mount' } });
      expect((await take({ snapshot_method: 'stream' })).view).toMatchObject({ options: { snapshot_method: 'stream', max_downtime: 1_800 }, report: { method: 'stream' } });
      await say('fast');
      const validation = await rig.api.expect(200, 'GET', `/v1/nodes/${node}/validate`);
      expect(validation['snapshot']).toMatchObject({ result: false, reason: expect.stringMatching(/snapshot_method: .*"mount"\|"stream"\|"auto"/) });
    } finally {
      for (const name of ['snapshot_method', 'snapshot_max_downtime']) await rig.api.expect(200, 'PATCH', `/v1/nodes/${node}`, [{ op: 'remove', path: `/driver_info/${name}` }]);
    }
  }, 240_000);

  test.each([
    [{ snapshot_method: 'fast' }, /snapshot_method: .*"mount"\|"stream"\|"auto"/],
    [{ full: 'yes' }, /full: .*boolean/],
    [{ max_downtime: 'soon' }, /max_downtime: expected seconds .* such as 90s, 15m or 1h/],
    [{ max_downtime: 0 }, /max_downtime: expected seconds/],
    [{ snapshot_speed: 'fast' }, /snapshot_speed/],
    [{ snapshot_method: 'mount', on_read_error: 'zero' }, /on_read_error "zero" needs a stream/],
    [{ snapshot_method: 'mount', compression: 'zstd' }, /compression "zstd" needs a stream/],
    [{ snapshot_method: 'mount', intermediate_storage: 'relay' }, /intermediate_storage "relay" needs a stream/],
  ])('is refused with 400 and what was expected for %j; the server is not touched', async (options, reason) => {
    const boots = rig.machine().bootLog.length;
    const reply = await rig.api.provision(node, 'snapshot', { image_ref: await rig.createHolder(), ...options });
    expect({ status: reply.status, says: faultString(reply) }).toEqual({ status: 400, says: expect.stringMatching(reason) });
    expect(rig.machine().bootLog.length).toBe(boots);
  });

  test('its options are refused with any other verb', async () => {
    const reply = await rig.api.provision(node, 'rebuild', { full: true });
    expect({ status: reply.status, says: faultString(reply) }).toEqual({ status: 400, says: expect.stringMatching(/"full" is only valid when setting target provision state to snapshot/) });
  });
});
