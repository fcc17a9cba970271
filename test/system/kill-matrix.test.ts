import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bootMarker } from '../../demo/own-system.ts';
import type { SnapshotPhase } from '../../protocol/provision.ts';
import { describeWhere } from '../machine-needs.ts';
import { FULL_MATRIX } from '../rig/run-options.ts';
import { STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { labelOf } from '../rig/system-machine.ts';
import { SystemRig } from '../rig/system-rig.ts';
import { SNAPSHOT_TIMEOUT_MS, takeTimedSnapshot } from '../rig/timed-snapshot.ts';

/** Where the snapshot fails, and where it goes on because its data is safe by then; the simulated machine goes through all of them too (test/integration/snapshot/restart). */
const FAILS: readonly SnapshotPhase[] = ['quiesce', 'boot configuration', 'power on', 'await ramdisk', 'boot device back', 'command', 'streaming'];
const GOES_ON: readonly SnapshotPhase[] = ['verify', 'boot back', 'upload', 'remove'];
const CHOSEN: readonly SnapshotPhase[] = ['boot configuration', 'streaming', 'boot back'];

const chosen = (phases: readonly SnapshotPhase[]): readonly SnapshotPhase[] => phases.filter((phase) => FULL_MATRIX || CHOSEN.includes(phase));
const MARKER = bootMarker(labelOf(0));

describeWhere(['root', 'tun', 'network namespace'], 'a virtual machine whose conductor is killed', () => {
  let rig: SystemRig;
  let node: string;
  beforeAll(async () => {
    rig = await SystemRig.start({ machines: [{ firmware: 'bios', bmc: 'ipmi' }] });
    await rig.console().until(MARKER);
    node = await rig.enrol();
  }, 2 * STEP_TIMEOUT_MS);
  afterAll(() => rig?.close(), STEP_TIMEOUT_MS);

  async function dieAt(phase: SnapshotPhase): Promise<string> {
    await rig.conductor.process.stop();
    await rig.conductor.restart({ dieAtPhase: phase });
    const holder = await rig.beginSnapshot(node);
    expect(await rig.conductor.process.ended()).toMatchObject({ signal: 'SIGKILL' });
    await rig.conductor.restart();
    return holder;
  }

  /** The newest boot is one of the machine's own disk, and nothing of the snapshot is left on the conductor. */
  async function expectServerBack(): Promise<void> {
    await rig.console().until(MARKER, { after: rig.console().boots - 1 });
    expect(rig.machine().bootOverride.target).not.toBe('Pxe');
    expect(await readdir(join(rig.conductor.directory, 'state', 'spool'))).toEqual([]);
  }
  const shown = async (body: () => Promise<void>): Promise<void> => {
    try {
      await body();
    } catch (error) {
      process.stderr.write(rig.describe());
      throw error;
    }
  };

  test.each(chosen(FAILS))('as phase "%s" begins: the snapshot has failed, the server runs from its own disk', (phase) => shown(async () => {
    const holder = await dieAt(phase);
    const failed = await rig.settled(node, 'snapshot failed', SNAPSHOT_TIMEOUT_MS);
    expect(failed.last_error).toContain('restarted');
    expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: phase === 'quiesce' ? null : 'done', image_ref: holder });
    expect(await rig.images.show(holder)).toMatchObject({ status: 'queued' });
    await expectServerBack();
  }), SNAPSHOT_TIMEOUT_MS);

  test.each(chosen(GOES_ON))('as phase "%s" begins: the snapshot goes on to its end', (phase) => shown(async () => {
    const holder = await dieAt(phase);
    const done = await rig.settled(node, 'active', SNAPSHOT_TIMEOUT_MS);
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holder, boot_back: 'done' });
    expect(await rig.images.show(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
    await expectServerBack();
  }), SNAPSHOT_TIMEOUT_MS);

  test('and taken into service again takes the next snapshot as ever', () => shown(async () => {
    const { imageId, view } = await takeTimedSnapshot(rig, node);
    expect(view).toMatchObject({ status: 'done', image_ref: imageId, boot_back: 'done' });
  }), SNAPSHOT_TIMEOUT_MS);
});
