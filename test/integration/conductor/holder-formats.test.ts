import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRow, SnapshotRow } from '../../../conductor/db/rows.ts';
import { HolderFormats } from '../../../conductor/workflow/holder-formats.ts';
import type { WorkflowParts } from '../../../conductor/workflow/parts.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer } from '../../../image-service/embedded/server.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { WorkflowStage } from '../../unit/conductor/workflow/workflow-stage.ts';

const log = createLogger('test', 'silent');
let directory: string;
let images: ReturnType<typeof createImageServer>;
let server: Server;
let wire: TcpRelay;
/** Asks the image service without the wire. */
let direct: GlanceClient;
let stage: WorkflowStage;
let parts: WorkflowParts;
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
  parts = { ...stage.parts, images: client(wire.port) };
  node = await stage.machineNode();
});
afterEach(async () => {
  await stage.close();
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
  const snapshot = await begin(holder);
  await stage.db.snapshots.updateDisk(snapshot.id, 0, { formatsSet: ['disk_format', 'container_format'] });
  await stage.db.snapshots.finish(snapshot.id, 'failed', 'the image service was away');
  return { snapshot, holder };
}

async function begin(holder: string): Promise<SnapshotRow> {
  const stored = await stage.db.nodes.storeStep(node.id, { from: 'active', event: 'snapshot', to: 'snapshotting', target: 'active', intentions: [] }, { history: { conductor: 'c', user: 'u' }, snapshot: { uuid: crypto.randomUUID(), requestedBy: 'u', disks: [{ imageRef: holder, imageName: 'i' }] } });
  if (!stored.stored || !stored.snapshot) throw new Error('the snapshot was not stored');
  await stage.db.nodes.storeStep(node.id, { from: 'snapshotting', event: 'done', to: 'active', target: null, intentions: [] }, { history: { conductor: 'c', user: 'u' } });
  return stored.snapshot;
}

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
