import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { descendantsOf } from './processes.ts';
import type { NodeView } from './baremetal-api.ts';
import type { Rig } from './rig.ts';
import { until } from './until.ts';

/** What every failed snapshot must leave: the reason said, the holder as found, the server on its own disk, nothing half-made. */
export async function expectCleanFailure(rig: Rig, node: string, holder: string, reason: RegExp): Promise<NodeView> {
  const failed = await rig.api.settled(node, 'snapshot failed');
  expect(failed.last_error).toMatch(reason);
  expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: 'done', image_ref: holder });
  await expectServerAsBefore(rig);
  const image = await rig.image(holder);
  expect({ status: image.status, disk_format: image.disk_format, container_format: image.container_format }).toEqual({ status: 'queued', disk_format: null, container_format: null });
  return failed;
}

/** The machine runs from its own disk, no program of a ramdisk is left, and the spool is empty. */
export async function expectServerAsBefore(rig: Rig, index = 0): Promise<void> {
  expect(rig.machine(index).runningFrom).toBe('disk');
  await expectNothingLeft(rig);
}

export async function expectNothingLeft(rig: Rig): Promise<void> {
  const ramdiskPrograms = async (): Promise<string[]> => (await descendantsOf(process.pid)).map(({ args }) => args.join(' ')).filter((line) => /ramdisk-agent|qemu-img|mount\.davfs/.test(line));
  await until('every program of the ramdisk has ended', async () => (await ramdiskPrograms()).length === 0);
  expect(await readdir(join(rig.conductor.directory, 'state', 'spool'))).toEqual([]);
}

/** A whole snapshot into a new holder: the proof that nothing of what happened before is in the way. */
export async function expectSnapshotSucceeds(rig: Rig, node: string): Promise<void> {
  const holder = await rig.createHolder();
  await rig.api.demand(node, 'snapshot', { image_ref: holder });
  const done = await rig.api.settled(node, 'active');
  const view = done.driver_internal_info.snapshot;
  expect(view).toMatchObject({ status: 'done', image_ref: holder, boot_back: 'done' });
  expect(await rig.image(holder)).toMatchObject({ status: 'active', size: view?.size_bytes, os_hash_value: view?.os_hash_value });
  await expectServerAsBefore(rig);
}
