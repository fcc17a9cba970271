/** Images of the image service: the embedded one and a real Glance. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import type { ImageSource } from '../../../conductor/drivers/deployment.ts';
import { MANIFEST_PROPERTY, type ImageManifest } from '../../../protocol/image-manifest.ts';
import { createLogger } from '../../../protocol/log.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { ImageApi } from '../image-service/image-api.ts';
import { SERVER_KINDS, type RunningServer } from '../image-service/servers.ts';
import { GIB, ImageStage, MIB, digestOfFile, unaborted } from './image-stage.ts';

const DISK_BYTES = 24 * MIB;
const MANIFEST: ImageManifest = {
  version: 1,
  node_uuid: randomUUID(),
  snapshot_uuid: randomUUID(),
  captured_at: '2024-01-01T00:00:00Z',
  agent_version: '1',
  boot_mode: 'uefi',
  disk: { name: '/dev/sda', serial: 'S1', wwn: null, model: null, size_bytes: DISK_BYTES, sector_size_bytes: 512 },
  storage_drivers: ['ahci'],
  network_drivers: ['e1000e'],
  image: { size_bytes: 1, virtual_size_bytes: DISK_BYTES, os_hash_algo: 'sha512', os_hash_value: 'ab' },
};
const of = (imageId: string): ImageSource => ({ source: imageId, diskFormat: null, hashAlgo: null, hashValue: null });

describe.each(SERVER_KINDS)('$name', (kind) => {
  let server: RunningServer;
  let wire: TcpRelay;
  let api: ImageApi;
  let client: GlanceClient;
  let stage: ImageStage;
  let qcow2: Buffer;
  let raw: Buffer;
  let rawDigest: string;
  beforeAll(async () => {
    server = await kind.start();
    api = new ImageApi(server.url);
  }, 90_000);
  afterAll(() => server.stop());
  beforeEach(async () => {
    wire = await TcpRelay.to({ port: Number(new URL(server.url).port) });
    client = new GlanceClient({ url: `http://127.0.0.1:${wire.port}`, token: noToken, timeoutMs: 20_000, log: createLogger('client', 'silent') });
    stage = await ImageStage.start({ images: client });
    const path = await stage.makeRaw('disk.raw', DISK_BYTES);
    await stage.qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', path, `${path}.qcow2`);
    raw = await readFile(path);
    rawDigest = await digestOfFile(path, 'sha256');
    qcow2 = await readFile(`${path}.qcow2`);
  });
  afterEach(async () => {
    await stage.close();
    await wire.close();
  });

  async function imageWith(data: Buffer, fields: Record<string, unknown>): Promise<string> {
    const id = await api.create(fields);
    expect((await api.upload(id, data)).status).toBe(204);
    return id;
  }

  test('an image is described with all that its owner says of it, and becomes its disk', async () => {
    const id = await imageWith(qcow2, { name: 'gold', disk_format: 'qcow2', min_disk: 3, hw_firmware_type: 'bios' });
    await client.setProperties(id, { [MANIFEST_PROPERTY]: JSON.stringify(MANIFEST) });
    const { os_hash_value } = await api.show(id);
    expect(await stage.images.describe(of(id), unaborted())).toEqual({ source: id, name: 'gold', diskFormat: 'qcow2', sizeBytes: qcow2.length, virtualSizeBytes: DISK_BYTES, minDiskBytes: 3 * GIB, hashAlgo: 'sha512', hashValue: os_hash_value, manifest: MANIFEST, bootMode: 'bios' });
    const uuid = randomUUID();
    expect(await stage.prepare(uuid, of(`glance://${id}`))).toMatchObject({ virtualSizeBytes: DISK_BYTES });
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('a raw image, and the boot mode of a manifest where the image says none', async () => {
    const id = await imageWith(raw, { disk_format: 'raw' });
    expect(await stage.images.describe(of(id), unaborted())).toMatchObject({ diskFormat: 'raw', virtualSizeBytes: DISK_BYTES, manifest: null, bootMode: null });
    await client.setProperties(id, { [MANIFEST_PROPERTY]: JSON.stringify(MANIFEST) });
    expect(await stage.images.describe(of(id), unaborted())).toMatchObject({ manifest: MANIFEST, bootMode: 'uefi' });
    const uuid = randomUUID();
    await stage.prepare(uuid, of(id));
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('an image that is missing, has no data, is deactivated, or of another format: refused', async () => {
    const deactivated = await imageWith(raw, {});
    await client.deactivate(deactivated);
    for (const [id, reason] of [
      [randomUUID(), /does not know it/],
      [await api.create(), /status is queued/],
      [deactivated, /status is deactivated/],
      [await imageWith(raw, { disk_format: 'vmdk' }), /"vmdk"/],
      [await imageWith(raw, { container_format: 'ovf' }), /container_format bare, found ovf/],
    ] as const) {
      await expect(stage.images.describe(of(id), unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(reason) });
      await expect(stage.prepare(randomUUID(), of(id))).rejects.toMatchObject({ httpStatus: 400 });
    }
  });

  test('a project is told of its own images and of those for everybody; of another\'s, in whatever state, as little as of one that does not exist', async () => {
    const [mine, theirs] = [randomUUID(), randomUUID()];
    const shared = { owner: theirs, visibility: 'shared' };
    for (const fields of [{ owner: mine, visibility: 'private' }, { owner: theirs, visibility: 'community' }]) expect(await stage.images.describe(of(await imageWith(raw, { disk_format: 'raw', ...fields })), unaborted(), mine)).toMatchObject({ diskFormat: 'raw' });
    const hidden = [randomUUID(), await imageWith(raw, shared), await imageWith(raw, { owner: theirs, visibility: 'private' }), await imageWith(raw, { disk_format: 'vmdk', ...shared }), await api.create(shared), await api.create({})];
    const words = new Set<string>();
    for (const id of hidden) {
      const refused = (await stage.images.describe(of(id), unaborted(), mine).catch((error: unknown) => error)) as Error & { httpStatus: number; data: unknown };
      expect([refused.httpStatus, refused.data]).toEqual([400, { image: id }]);
      words.add(refused.message.replace(id, 'ID'));
    }
    expect([...words]).toEqual([expect.stringContaining('does not know it, or it is not for your project')]);
    expect(await stage.images.describe(of(hidden[1] ?? ''), unaborted(), null)).toMatchObject({ diskFormat: 'raw' });
  });

  test('raw data that the service calls qcow2 (it looks at nothing) are refused', async () => {
    const id = await imageWith(raw, { disk_format: 'qcow2' });
    await expect(stage.prepare(randomUUID(), of(id))).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('its data are raw') });
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('a service that cannot be reached is 503; one that comes back in the middle of a transfer is asked again', async () => {
    const big = Buffer.alloc(64 * MIB, 'x');
    const id = await imageWith(big, { disk_format: 'raw' });
    wire.cut();
    await expect(stage.images.describe(of(id), unaborted())).rejects.toMatchObject({ httpStatus: 503 });
    wire.mend();
    let cuts = 0;
    const uuid = randomUUID();
    await stage.prepare(uuid, of(id), unaborted(), (done) => {
      if (cuts > 0 || done < MIB) return;
      cuts += 1;
      wire.cut();
      wire.mend();
    });
    expect(cuts).toBe(1);
    expect(await stage.readDisk(uuid)).toMatchObject({ dataBytes: big.length });
  });

  test('properties are set on an active image, changed, and left alone when they are as wanted', async () => {
    const id = await imageWith(raw, { os_distro: 'debian' });
    const long = JSON.stringify({ ...MANIFEST, storage_drivers: Array.from({ length: 300 }, (_, index) => `driver-${index}`) });
    await client.setProperties(id, { [MANIFEST_PROPERTY]: long, os_distro: 'alpine', hw_firmware_type: 'uefi', name: 'renamed', 'a/b~c': 'x' });
    const image = await api.show(id);
    expect(image).toMatchObject({ status: 'active', [MANIFEST_PROPERTY]: long, os_distro: 'alpine', hw_firmware_type: 'uefi', name: 'renamed', 'a/b~c': 'x' });
    await client.setProperties(id, { os_distro: 'alpine' });
    await client.setProperties(id, {});
    expect((await api.show(id)).updated_at).toBe(image.updated_at);
    await expect(client.setProperties(randomUUID(), { a: 'b' })).rejects.toMatchObject({ httpStatus: 404 });
    await expect(client.setProperties('../images', { a: 'b' })).rejects.toMatchObject({ httpStatus: 400 });
    await expect(client.setProperties(id, { status: 'queued' })).rejects.toMatchObject({ data: { status: 403, retryable: false } });
  });
});
