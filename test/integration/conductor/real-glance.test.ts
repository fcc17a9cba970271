/** Whole snapshots into the image service that people have: a real Glance. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { describeWhere } from '../../machine-needs.ts';
import { startGlance, type Glance } from '../../peers/glance.ts';
import { faultString } from '../../rig/baremetal-api.ts';
import { expectServerAsBefore, expectSnapshotSucceeds } from '../../rig/outcome.ts';
import { Rig } from '../../rig/rig.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';

describeWhere(['root', 'fuse', 'loop'], 'with a real Glance', () => {
  let glance: Glance;
  let wire: TcpRelay;
  let rig: Rig;
  let node: string;
  beforeAll(async () => {
    glance = await startGlance();
    wire = await TcpRelay.to({ port: Number(new URL(glance.url).port) });
    rig = await Rig.start({ contentShare: 0.05, imageUrl: glance.url, config: { image_service: { url: `http://127.0.0.1:${wire.port}` }, snapshot: { upload_attempts: 8, upload_retry_pause_s: 0.5, requeue_timeout_s: 5 } } });
    node = await rig.enrol();
  }, 120_000);
  afterAll(async () => {
    await rig?.close();
    await wire?.close();
    await glance?.stop();
  }, 60_000);

  const boots = (): number => rig.machine().bootLog.length;

  test('a snapshot ends with the image active, its formats set, and the digest that the agent reported', async () => {
    const holder = await rig.createHolder();
    expect(await rig.image(holder)).toMatchObject({ status: 'queued', disk_format: null, container_format: null });
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    const done = await rig.api.settled(node, 'active', 90_000);
    const view = done.driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', image_ref: holder, os_hash_algo: 'sha512', boot_back: 'done', error: null });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', disk_format: 'qcow2', container_format: 'bare', size: view?.size_bytes, os_hash_algo: 'sha512', os_hash_value: view?.os_hash_value });
    await expectServerAsBefore(rig);
  }, 120_000);

  test('formats that the holder has already are kept', async () => {
    const holder = await rig.createHolder({ disk_format: 'qcow2', container_format: 'bare', min_disk: 4 });
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await rig.api.settled(node, 'active', 90_000);
    expect(await rig.image(holder)).toMatchObject({ status: 'active', disk_format: 'qcow2', container_format: 'bare', min_disk: 4 });
  }, 120_000);

  test('a holder that is unknown, has data, or is for raw data is refused with 400 before the server is touched', async () => {
    const withData = await rig.createHolder({ disk_format: 'raw', container_format: 'bare' });
    const { status } = await createHttpClient({ timeoutMs: 30_000 }).put(`${glance.url}/v2/images/${withData}/file`, 'data', { headers: { 'Content-Type': 'application/octet-stream' } });
    expect(status).toBe(204);
    const deleted = await rig.createHolder();
    await rig.deleteImage(deleted);
    const before = boots();
    for (const [imageRef, reason] of [
      ['00000000-0000-4000-8000-000000000000', /does not know it/],
      [deleted, /does not know it/],
      [withData, /its status is active/],
      [await rig.createHolder({ disk_format: 'raw', container_format: 'bare' }), /its disk_format is raw/],
    ] as const) {
      const reply = await rig.api.provision(node, 'snapshot', { image_ref: imageRef });
      expect({ status: reply.status, says: faultString(reply) }).toEqual({ status: 400, says: expect.stringMatching(reason) });
    }
    expect(await rig.api.node(node)).toMatchObject({ provision_state: 'active', last_error: null });
    expect({ boots: boots(), from: rig.machine().runningFrom }).toEqual({ boots: before, from: 'disk' });
  });

  test('Glance away: the request is 503 before the server is touched', async () => {
    const holder = await rig.createHolder();
    const before = boots();
    wire.cut();
    try {
      const reply = await rig.api.provision(node, 'snapshot', { image_ref: holder });
      expect({ status: reply.status, says: faultString(reply) }).toEqual({ status: 503, says: expect.stringMatching(/can not be found out now whether an image can be written to .*: The image service cannot be reached/) });
    } finally {
      wire.mend();
    }
    expect({ state: (await rig.api.node(node)).provision_state, boots: boots() }).toEqual({ state: 'active', boots: before });
  });

  test('an upload that is cut goes on from the spool once Glance has the holder queued again', async () => {
    const holder = await rig.createHolder();
    const before = boots();
    await startUpload(holder);
    wire.cut();
    wire.mend();
    const done = await rig.api.settled(node, 'active', 90_000);
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
    expect(boots()).toBe(before + 2);
  }, 120_000);

  test('Glance killed while it receives leaves the image in saving for ever: the snapshot fails and says that the image has to be made anew', async () => {
    const holder = await rig.createHolder();
    await startUpload(holder);
    await until('the server is back before the upload ends', () => rig.machine().runningFrom === 'disk');
    await glance.kill();
    wire.mend();
    await glance.start();
    expect(await rig.image(holder)).toMatchObject({ status: 'saving' });
    const failed = await rig.api.settled(node, 'snapshot failed', 120_000);
    expect(failed.last_error).toMatch(/could not be uploaded.*delete it and create a new one/);
    expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: 'done', image_ref: holder });
    expect(await rig.image(holder)).toMatchObject({ status: 'saving' });
    await expectServerAsBefore(rig);
    await rig.deleteImage(holder);
    await expectSnapshotSucceeds(rig, node);
  }, 180_000);

  /** Takes a snapshot up to an upload that Glance receives. The paused wire lets short requests pass, and the beginning of long ones. */
  async function startUpload(holder: string): Promise<void> {
    wire.pause();
    await rig.api.demand(node, 'snapshot', { image_ref: holder, intermediate_storage: 'spool' });
    await rig.api.phase(node, 'upload');
    await until('Glance receives', async () => (await rig.image(holder)).status === 'saving');
  }
});
