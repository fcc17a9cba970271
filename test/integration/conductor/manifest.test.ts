import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { rowOf } from '../../../conductor/db/new-node.ts';
import type { NodeRow, SnapshotDiskRow, SnapshotRow } from '../../../conductor/db/rows.ts';
import type { SnapshotTask } from '../../../conductor/drivers/interfaces.ts';
import { describeCapture, recordManifest } from '../../../conductor/drivers/snapshot/manifest.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import type { CaptureReport } from '../../../protocol/capture.ts';
import { manifestOf } from '../../../protocol/image-manifest.ts';
import type { Inventory } from '../../../protocol/inventory.ts';
import { createLogger } from '../../../protocol/log.ts';
import { startGlance, type Glance } from '../../peers/glance.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { newNode } from '../../unit/conductor/db/node-of-tests.ts';
import { fileData } from '../../rig/image-data.ts';

const log = createLogger('test', 'silent');
const node: NodeRow = { id: 1, ...rowOf(newNode({ agentVersion: '1.2.3' })) };
const DEVICE = { name: '/dev/sda', serial: 'S', wwn: null, model: 'M', size_bytes: 4096, sector_size_bytes: 512 };
const inventoryWith = (interfaces: number): Inventory => ({
  disks: [{ name: '/dev/sda', model: 'M', vendor: null, serial: 'S', wwn: null, size: 4096, sector_size: 512, rotational: false, driver: 'ahci' }, { name: '/dev/sdb', model: null, vendor: null, serial: null, wwn: null, size: 4096, sector_size: 512, rotational: false, driver: 'ahci' }],
  interfaces: Array.from({ length: interfaces }, (_, index) => ({ name: `eth${index}`, mac_address: 'x', driver: `driver_${String(interfaces - index).padStart(4, '0')}` })),
  cpu: { architecture: 'x86_64', count: 1, model_name: null },
  memory: { total: 1 },
  system_vendor: { manufacturer: null, product_name: null, serial_number: null },
  boot: { current_boot_mode: 'uefi' },
});
const diskOf = (imageRef: string): SnapshotDiskRow => ({ id: 1, snapshotId: 1, position: 0, imageRef, heldImageRef: imageRef, imageName: 'i', formatsSet: [], sizeBytes: 10, virtualSizeBytes: 4096, proof: null, osHashAlgo: 'sha512', osHashValue: 'ab', device: DEVICE, report: null, receivedBy: null });
const at = new Date('2026-02-03T04:05:06.000Z');
const snapshotOf = (disk: SnapshotDiskRow): SnapshotRow => ({ id: 1, uuid: randomUUID(), nodeId: 1, phase: 'upload', status: 'unfinished', requestedBy: 'u', error: null, credentialHash: null, commandId: null, captureDeadlineAt: null, step: null, bytesDone: null, bytesTotal: null, progressAt: null, phaseStartedAt: at, startedAt: at, finishedAt: null, poweredOffAt: at, poweredOnAt: null, options: {}, prediction: null, disks: [disk] });

test('a manifest holds what the machine needs, sorted and without repetition; unknown hardware leaves it open', () => {
  const disk = diskOf(randomUUID());
  const snapshot = snapshotOf(disk);
  expect(describeCapture(snapshot, disk, node, inventoryWith(2))).toEqual({
    version: 1,
    node_uuid: node.uuid,
    snapshot_uuid: snapshot.uuid,
    captured_at: '2026-02-03T04:05:06.000Z',
    agent_version: '1.2.3',
    boot_mode: 'uefi',
    disk: DEVICE,
    storage_drivers: ['ahci'],
    network_drivers: ['driver_0001', 'driver_0002'],
    image: { size_bytes: 10, virtual_size_bytes: 4096, os_hash_algo: 'sha512', os_hash_value: 'ab' },
  });
  expect(describeCapture(snapshot, disk, node, null)).toMatchObject({ boot_mode: null, storage_drivers: [], network_drivers: [] });
});

test('a manifest says how the disk was captured, part by part; of very many parts the first ones, and how many are left out', () => {
  const part = { what: 'partition 1', offset_bytes: 0, size_bytes: 1, content: 'ext4', treatment: 'mapped' as const, used_bytes: 1, summary: 'ext4, clean, mapped' };
  const reportOf = (parts: number): CaptureReport => ({ method: 'stream', fallback_reason: null, parts: Array.from({ length: parts }, () => part), bytes_read: 1, wire_bytes: 1, compression: 'none', attempts: 1, unreadable: [{ offset_bytes: 4096, size_bytes: 512 }], prediction: null });
  const captureOf = (parts: number): unknown => {
    const disk = { ...diskOf(randomUUID()), report: reportOf(parts) };
    return describeCapture(snapshotOf(disk), disk, node, null).capture;
  };
  expect(captureOf(1)).toEqual({ method: 'stream', fallback_reason: null, parts: [part], parts_omitted: 0, unreadable: [{ offset_bytes: 4096, size_bytes: 512 }] });
  expect(captureOf(256)).toMatchObject({ parts: Array.from({ length: 100 }, () => part), parts_omitted: 156 });
});

describe('with a real Glance', () => {
  let glance: Glance;
  let wire: TcpRelay;
  let images: GlanceClient;
  beforeAll(async () => {
    glance = await startGlance();
    wire = await TcpRelay.to({ port: Number(new URL(glance.url).port) });
    images = new GlanceClient({ url: `http://127.0.0.1:${wire.port}`, token: noToken, timeoutMs: 20_000, log });
  }, 90_000);
  afterAll(async () => {
    await wire?.close();
    await glance?.stop();
  }, 30_000);

  async function activeImage(fields: Record<string, unknown> = {}): Promise<string> {
    const { id } = await images.create({ name: 'holder', disk_format: 'qcow2', container_format: 'bare', ...fields });
    const file = join(glance.directory, 'data');
    await writeFile(file, 'some data');
    await images.upload(id, fileData(file), 9, { signal: AbortSignal.timeout(20_000) });
    return id;
  }

  const events: string[] = [];
  const taskOf = (disk: SnapshotDiskRow, inventory: Inventory): SnapshotTask =>
    ({ node, snapshot: snapshotOf(disk), images, log, signal: AbortSignal.timeout(20_000), limits: { uploadRetryPauseMs: 10 }, inventory: async () => inventory, noteEvent: async (event: string) => void events.push(event) }) as unknown as SnapshotTask;

  test.each([2, 1_000])('the manifest of a machine with %d network drivers is kept whole on an active image, its firmware told by the standard property', async (interfaces) => {
    const disk = diskOf(await activeImage());
    const task = taskOf(disk, inventoryWith(interfaces));
    await recordManifest(task, disk);
    await recordManifest(task, disk); // as after a crash
    const image = (await images.show(disk.imageRef))!;
    expect(image).toMatchObject({ status: 'active', hw_firmware_type: 'uefi' });
    expect(manifestOf(image)).toEqual(describeCapture(task.snapshot, disk, node, inventoryWith(interfaces)));
    expect(events).toEqual([]);
  }, 60_000);

  test('an image that has such properties already gets the new ones', async () => {
    const disk = diskOf(await activeImage({ metalshot_manifest: 'old', hw_firmware_type: 'bios', own: 'kept' }));
    await recordManifest(taskOf(disk, inventoryWith(1)), disk);
    const image = (await images.show(disk.imageRef))!;
    expect(image).toMatchObject({ hw_firmware_type: 'uefi', own: 'kept' });
    expect(manifestOf(image)).toMatchObject({ node_uuid: node.uuid });
  }, 60_000);

  test('a manifest that can not be set fails nothing: history says that the image has none', async () => {
    const disk = diskOf(await activeImage());
    wire.cut();
    try {
      await recordManifest(taskOf(disk, inventoryWith(1)), disk);
    } finally {
      wire.mend();
    }
    expect(events).toEqual([expect.stringMatching(/complete and verified, but its manifest could not be set/)]);
    expect(manifestOf((await images.show(disk.imageRef))!)).toBeNull();
  }, 60_000);
});
