import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createImageServer } from '../../../image-service/embedded/server.ts';
import { createLogger } from '../../../protocol/log.ts';
import { expectServerAsBefore, expectSnapshotSucceeds } from '../../rig/outcome.ts';
import { Rig } from '../../rig/rig.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';

/** An image service of its own, reached over a wire that can be cut; the test itself asks it directly. */
describe('an upload that is disturbed', () => {
  let directory: string;
  let server: Server;
  let images: ReturnType<typeof createImageServer>;
  let wire: TcpRelay;
  let rig: Rig;
  let node: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-images-'));
    images = createImageServer({ directory, log: createLogger('images', 'silent') });
    await images.ready();
    server = createServer(images.app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    wire = await TcpRelay.to({ port });
    rig = await Rig.start({ contentShare: 0.05, config: { image_service: { url: `http://127.0.0.1:${wire.port}` }, snapshot: { upload_attempts: 3 } }, imageUrl: `http://127.0.0.1:${port}` });
    node = await rig.enrol();
  }, 120_000);
  afterEach(async () => {
    await rig.close();
    await wire.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await images.close();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  async function reachUpload(): Promise<string> {
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await rig.api.phase(node, 'streaming');
    wire.pause();
    await rig.api.phase(node, 'upload');
    return holder;
  }

  test('is tried again from the spool when the connection is cut: the server is not taken down a second time', async () => {
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await rig.api.phase(node, 'streaming');
    const before = wire.forwardedBytes;
    await until('data flows to the image service', () => wire.forwardedBytes > before + 200_000);
    wire.cut();
    wire.mend();
    const done = await rig.api.settled(node, 'active');
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done' });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd', 'Pxe', 'Hdd']);
  }, 120_000);

  test('fails when the image service stays away; the server is back already, and a retry succeeds once the service is', async () => {
    const holder = await reachUpload();
    await until('the server is back before the upload', () => rig.machine().runningFrom === 'disk');
    wire.cut();
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toMatch(/could not be uploaded/);
    await expectServerAsBefore(rig);
    expect((await rig.image(holder)).status).toBe('queued');
    wire.mend();
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);

  test('fails when the image is deleted meanwhile, and says so', async () => {
    const holder = await reachUpload();
    await rig.deleteImage(holder);
    wire.resume();
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toMatch(/deleted/);
    await expectServerAsBefore(rig);
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);
});

