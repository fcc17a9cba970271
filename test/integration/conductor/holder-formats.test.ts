import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRow, SnapshotRow } from '../../../conductor/db/rows.ts';
import { createDestinations } from '../../../conductor/images/destinations/destinations.ts';
import { ImageTargets } from '../../../conductor/images/image-targets.ts';
import { HolderFormats } from '../../../conductor/workflow/holder-formats.ts';
import type { WorkflowParts } from '../../../conductor/workflow/parts.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer } from '../../../image-service/embedded/server.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { PutServer } from '../../rig/put-server.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';
import { WorkflowStage } from '../../unit/conductor/workflow/workflow-stage.ts';

const log = createLogger('test', 'silent');
const DATA = Buffer.alloc(1_000, 'data');
const DIGEST = createHash('sha512').update(DATA).digest('hex');
let directory: string;
let images: ReturnType<typeof createImageServer>;
let server: Server;
let wire: TcpRelay;
/** Asks the image service without the wire. */
let direct: GlanceClient;
let stage: WorkflowStage;
let parts: WorkflowParts;
/** Stores what is PUT, in place. */
let store: PutServer;
let node: NodeRow;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-holders-'));
  images = createImageServer({ directory, log });
  await images.ready();
  server = createServer(images.app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  wire = await TcpRelay.to({ port });
  const client = (at: number): GlanceClient => new GlanceClient({ url: `http://127.0.0.1:${at}`, token: noToken, timeoutMs: 5_000, log });
  direct = client(port);
  stage = await WorkflowStage.start();
  store = await PutServer.start();
  const { images: places } = createDestinations({
    fileRoots: [directory],
    https: [{ prefix: `https://127.0.0.1:${store.port}`, ca: store.certificate, authorization: () => Promise.resolve(store.authorization) }],
    times: { timeoutMs: 5_000, stallTimeoutMs: 5_000, answerTimeoutMs: 5_000 },
  });
  parts = { ...stage.parts, images: new ImageTargets(client(wire.port), places) };
  node = await stage.machineNode();
});
afterEach(async () => {
  await stage.close();
  await store.close();
  await wire.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await images.close();
  await rm(directory, { recursive: true, force: true });
});

/** A snapshot that failed while the image service was away: the formats that it gave its holder are still there. */
async function failWithFormatsLeft(): Promise<{ snapshot: SnapshotRow; holder: string }> {
  const holder = (await direct.create({ name: 'holder' })).id;
  await direct.setFormats(holder, { disk_format: 'qcow2', container_format: 'bare' });
  return { snapshot: await failAt(holder), holder };
}

async function failAt(imageRef: string, osHashValue: string | null = null): Promise<SnapshotRow> {
  const snapshot = await begin(imageRef);
  await stage.db.snapshots.updateDisk(snapshot.id, 0, { formatsSet: ['disk_format', 'container_format'], sizeBytes: DATA.length, osHashValue });
  await stage.db.snapshots.finish(snapshot.id, 'failed', 'the image service was away');
  return snapshot;
}

async function begin(holder: string): Promise<SnapshotRow> {
  const stored = await stage.db.nodes.storeStep(node.id, { from: 'active', event: 'snapshot', to: 'snapshotting', target: 'active', intentions: [] }, { history: { conductor: 'c', user: 'u' }, snapshot: { uuid: crypto.randomUUID(), requestedBy: 'u', disks: [{ imageRef: holder, imageName: 'i' }] } });
  if (!stored.stored || !stored.snapshot) throw new Error('the snapshot was not stored');
  await stage.db.nodes.storeStep(node.id, { from: 'snapshotting', event: 'done', to: 'active', target: null, intentions: [] }, { history: { conductor: 'c', user: 'u' } });
  return stored.snapshot;
}

/** An upload that somebody has begun. */
function beginUpload(holder: string, data: Buffer): { finish(): void; cut(): void } {
  const { port } = server.address() as AddressInfo;
  const put = httpRequest(`http://127.0.0.1:${port}/v2/images/${holder}/file`, { method: 'PUT', agent: false, headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': data.length } });
  put.on('error', () => undefined).on('response', (response) => response.resume());
  put.write(data.subarray(0, 100));
  return { finish: () => void put.end(data.subarray(100)), cut: () => void put.destroy() };
}

const becomes = (holder: string, status: string): Promise<true> => until(`the image is ${status}`, async () => (await direct.show(holder))?.status === status);
const lines = async (): Promise<string> => (await stage.history(node)).map(({ event }) => event).join('\n');
const formatsOf = async (holder: string): Promise<unknown> => (await direct.show(holder))?.disk_format;
const left = async (): Promise<number> => (await stage.db.snapshots.withFormatsLeft()).length;

test('formats that a failed snapshot left on its holder are taken back as soon as the image service is there again', async () => {
  const { holder } = await failWithFormatsLeft();
  const holders = new HolderFormats(parts);
  wire.cut();
  await holders.round();
  await holders.round();
  expect({ formats: await formatsOf(holder), left: await left() }).toEqual({ formats: 'qcow2', left: 1 });
  wire.mend();
  await holders.round();
  expect(await direct.show(holder)).toMatchObject({ status: 'queued', disk_format: null, container_format: null });
  expect(await left()).toBe(0);
  expect((await stage.history(node)).at(-1)?.event).toContain(holder);
});

test('a holder that is the target of another snapshot keeps its formats until that one has ended', async () => {
  const { holder } = await failWithFormatsLeft();
  const second = await begin(holder);
  const holders = new HolderFormats(parts);
  await holders.round();
  expect({ formats: await formatsOf(holder), left: await left() }).toEqual({ formats: 'qcow2', left: 1 });
  await stage.db.snapshots.finish(second.id, 'failed', 'it failed too');
  await holders.round();
  expect({ formats: await formatsOf(holder), left: await left() }).toEqual({ formats: null, left: 0 });
});

test('an image that is gone is no longer looked after', async () => {
  const { holder } = await failWithFormatsLeft();
  await direct.delete(holder);
  await new HolderFormats(parts).round();
  expect(await left()).toBe(0);
});

test('a holder that is still saving keeps its formats until the service has rolled the upload back', async () => {
  const { holder } = await failWithFormatsLeft();
  const upload = beginUpload(holder, DATA);
  await becomes(holder, 'saving');
  const holders = new HolderFormats(parts);
  await holders.round();
  expect(await left()).toBe(1);
  upload.cut();
  await becomes(holder, 'queued');
  await holders.round();
  expect({ formats: await formatsOf(holder), left: await left() }).toEqual({ formats: null, left: 0 });
});

test.each([
  ['although nobody knows what was captured', true, null, true],
  ['with other data than were captured', true, 'ab'.repeat(64), true],
  ['with what came before the agent failed', true, DIGEST, false],
  ['with what was captured', false, DIGEST, true],
])('an image that became active %s stays as it is; history tells of it: %s', async (_which, isTold, osHashValue, isReported) => {
  const { holder, snapshot } = await failWithFormatsLeft();
  await stage.db.snapshots.updateDisk(snapshot.id, 0, { osHashValue, proof: isReported ? { algo: 'sha512', value: DIGEST } : null });
  const upload = beginUpload(holder, DATA);
  upload.finish();
  await becomes(holder, 'active');
  await new HolderFormats(parts).round();
  expect(await left()).toBe(0);
  expect(await direct.show(holder)).toMatchObject({ status: 'active', disk_format: 'qcow2' });
  expect((await lines()).includes(`Image ${holder} has data that are not proven to be what the failed snapshot ${snapshot.uuid} captured`)).toBe(isTold);
});

test('so long after a snapshot nothing that is seen at a place outside is removed: half or whole, it may be anybody\'s by now', async () => {
  const ref = `https://127.0.0.1:${store.port}/web-1.qcow2`;
  await failAt(ref, DIGEST);
  store.stored.set('/web-1.qcow2', DATA.subarray(0, 10));
  await new HolderFormats(parts).round();
  expect([...store.stored.keys()]).toEqual(['/web-1.qcow2']);
  expect(await left()).toBe(0);
  expect(await lines()).toContain(`Image ${ref} has data that are not proven`);
});

test.each([['free', []], ['closed by a stray manifest', ['web-1.qcow2.json']]])('what was half-made at a place that is %s goes, and no more', async (_how, others) => {
  await failAt(`file://${directory}/web-1.qcow2`);
  const partial = `.web-1.qcow2.${crypto.randomUUID()}.metalshot-part`;
  for (const name of [partial, ...others]) await writeFile(join(directory, name), '{}');
  const before = await readdir(directory);
  await new HolderFormats(parts).round();
  expect(await readdir(directory)).toEqual(before.filter((name) => name !== partial));
  expect(await left()).toBe(0);
});
