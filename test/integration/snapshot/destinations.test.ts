/** Whole snapshots into places outside the image service. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { faultString } from '../../rig/baremetal-api.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { Rig } from '../../rig/rig.ts';
import { S3Store } from '../../rig/s3-store.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';

let directory: string;
let store: S3Store;
let toStore: TcpRelay;
let rig: Rig;
let node: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-destinations-'));
  await mkdir(join(directory, 'rack-1'));
  store = await S3Store.start();
  toStore = await TcpRelay.to({ port: store.port });
  await writeFile(join(directory, 'secret'), `${store.secret}\n`);
  const s3 = { endpoint: `http://127.0.0.1:${toStore.port}`, access_key_id: store.accessKeyId, secret_access_key_file: join(directory, 'secret'), buckets: [store.bucket] };
  rig = await Rig.start({ contentShare: 0.05, bootable: true, config: { snapshot: { file_roots: [directory], s3 }, deploy: { file_roots: [directory] } } });
  node = await rig.enrol();
}, 180_000);
afterAll(async () => {
  await rig?.close();
  await toStore?.close();
  await store?.close();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

describe('a snapshot into a file', () => {
  let ref: string;
  let file: string;
  beforeAll(() => {
    file = join(directory, 'rack-1/web-1.qcow2');
    ref = `file://${file}`;
  });

  test('ends with an image equal to the disk, its manifest beside it, and nothing else', async () => {
    await rig.api.demand(node, 'snapshot', { image_ref: ref, full: true, intermediate_storage: 'spool' }); // full: what is deleted on the disk is compared too
    const done = await rig.api.settled(node, 'active', 120_000);
    const view = done.driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', image_ref: ref, boot_back: 'done', error: null });
    expect(await readdir(join(directory, 'rack-1'))).toEqual(['web-1.qcow2', 'web-1.qcow2.json']);
    expect((await stat(file)).size).toBe(view?.size_bytes);
    expect(createHash('sha512').update(await readFile(file)).digest('hex')).toBe(view?.os_hash_value);
    expect(execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', rig.disks[0]!.path, file], { encoding: 'utf8' })).toContain('identical');
    expect(JSON.parse(await readFile(`${file}.json`, 'utf8'))).toMatchObject({ node_uuid: node, image: { size_bytes: view?.size_bytes, os_hash_algo: 'sha512', os_hash_value: view?.os_hash_value } });
    await expectServerAsBefore(rig);
  }, 180_000);

  test('can be relayed: nothing is kept on the way', async () => {
    const relayed = join(directory, 'rack-1/relayed.qcow2');
    await rig.api.demand(node, 'snapshot', { image_ref: `file://${relayed}`, snapshot_method: 'stream', intermediate_storage: 'relay' });
    const view = (await rig.api.settled(node, 'active', 120_000)).driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', image_ref: `file://${relayed}`, error: null });
    expect(createHash('sha512').update(await readFile(relayed)).digest('hex')).toBe(view?.os_hash_value);
    expect((await readdir(join(directory, 'rack-1'))).toSorted()).toEqual(['relayed.qcow2', 'relayed.qcow2.json', 'web-1.qcow2', 'web-1.qcow2.json']);
  }, 180_000);

  test('is refused where there is something already, and outside the roots, before the server is touched', async () => {
    for (const [imageRef, reason] of [
      [ref, /something at this place already/],
      [`file://${directory}-other/web-1.qcow2`, /not in one of snapshot\.file_roots/],
      [`file://${directory}/rack-1/../../web-1.qcow2`, /"\.\." in it/],
      [`file://${directory}/rack-1/%2e%2e/web-1.qcow2`, /without encoded characters/],
      ['https://store.example/web-1.qcow2', /names no place/],
      ['https://user:hunter2@store.example/web-1.qcow2', /carries a user name or password/],
      ['s3://others/web-1.qcow2', /not one of snapshot\.s3\.buckets/],
    ] as const) {
      const reply = await rig.api.provision(node, 'snapshot', { image_ref: imageRef });
      expect({ status: reply.status, says: faultString(reply) }).toEqual({ status: 400, says: expect.stringMatching(reason) });
      expect(faultString(reply)).not.toContain('hunter2');
    }
    expect((await rig.api.node(node)).provision_state).toBe('active');
    expect(rig.machine().powerState).toBe('On');
  });

  test('restores the server by its URL and digest', async () => {
    const { image } = JSON.parse(await readFile(`${file}.json`, 'utf8')) as { image: { os_hash_value: string } };
    const info = { image_source: ref, image_os_hash_algo: 'sha512', image_os_hash_value: image.os_hash_value };
    await rig.api.expect(200, 'PATCH', `/v1/nodes/${node}`, Object.entries(info).map(([name, value]) => ({ op: 'add', path: `/instance_info/${name}`, value })));
    await rig.api.demand(node, 'rebuild');
    const restored = await rig.api.settled(node, 'active', 120_000);
    expect(restored.last_error).toBeNull();
    expect(rig.machine().runningFrom).toBe('disk');
    expect(execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', rig.disks[0]!.path, file], { encoding: 'utf8' })).toContain('identical');
  }, 180_000);
});

test('a conductor that is killed while it uploads to an object store: the broken upload is removed, and the snapshot goes on to its end', async () => {
  const key = 'rack-1/web-1.qcow2';
  const ref = `s3://${store.bucket}/${key}`;
  store.intercept = ({ method, url }) => {
    if (method === 'POST' && url?.includes('uploadId=')) toStore.cut(); // all parts are there: the end never arrives
    return undefined;
  };
  await rig.api.demand(node, 'snapshot', { image_ref: ref, intermediate_storage: 'spool' });
  await until('an upload has parts', () => [...store.uploads.values()].some(({ parts }) => parts.size > 0), 120_000);
  await rig.conductor.process.kill();
  toStore.cut();
  const [broken] = [...store.uploads.keys()];
  store.intercept = undefined;
  toStore.mend();
  await rig.conductor.restart();
  const done = await rig.api.settled(node, 'active', 120_000);
  expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: ref });
  expect(broken).toBeDefined();
  expect([...store.uploads]).toEqual([]);
  expect([...store.objects.keys()].toSorted()).toEqual([key, `${key}.json`]);
  expect(createHash('sha512').update(store.objects.get(key)?.body ?? '').digest('hex')).toBe(done.driver_internal_info.snapshot?.os_hash_value);
  await expectServerAsBefore(rig);
}, 240_000);
