import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { SnapshotPhase } from '../../../protocol/provision.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { GIB, Rig } from '../../rig/rig.ts';
import { until } from '../../rig/until.ts';

const DIES_AND_FAILS: SnapshotPhase[] = ['quiesce', 'boot configuration', 'power on', 'await ramdisk', 'boot device back', 'command', 'streaming'];
const DIES_AND_GOES_ON: SnapshotPhase[] = ['verify', 'boot back', 'upload', 'remove'];

describe('a conductor that is killed during a snapshot', () => {
  let rig: Rig;
  let node: string;
  beforeAll(async () => {
    rig = await Rig.start({ contentShare: 0.05 });
    node = await rig.enrol();
  }, 120_000);
  afterAll(() => rig.close(), 60_000);

  async function dieAt(phase: SnapshotPhase): Promise<string> {
    await rig.conductor.process.stop();
    await rig.conductor.restart({ dieAtPhase: phase });
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    expect(await rig.conductor.process.ended()).toMatchObject({ signal: 'SIGKILL' });
    await rig.conductor.restart();
    return holder;
  }

  async function expectNothingLeft(): Promise<void> {
    expect(rig.machine().runningFrom).toBe('disk');
    expect(await readdir(join(rig.conductor.directory, 'state', 'spool'))).toEqual([]);
  }

  async function takeSnapshot(holder: string): Promise<void> {
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    const done = await rig.api.settled(node, 'active');
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holder });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
  }

  test.each(DIES_AND_FAILS)('in phase "%s": settled after the restart, the server on its own disk, the holder as found, and a retry succeeds', async (phase) => {
    const holder = await dieAt(phase);
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toContain('restarted');
    expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: phase === 'quiesce' ? null : 'done', image_ref: holder }); // quiesce had not begun to act
    await expectNothingLeft();
    expect(await rig.image(holder)).toMatchObject({ status: 'queued', disk_format: null });
    await takeSnapshot(holder);
    await expectNothingLeft();
  }, 120_000);

  test.each(DIES_AND_GOES_ON)('in phase "%s": the snapshot, whose data is safe by then, goes on to its end', async (phase) => {
    const holder = await dieAt(phase);
    const done = await rig.api.settled(node, 'active');
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holder, boot_back: 'done' });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
    await expectNothingLeft();
    await takeSnapshot(await rig.createHolder());
  }, 120_000);

  test('while it waits for the ramdisk: the ramdisk finds the new one, and the snapshot goes on', async () => {
    const holder = await rig.createHolder();
    rig.machine().setFaults({ pxe_hangs: true });
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await rig.api.settled(node, 'snapshot wait');
    await rig.conductor.process.kill();
    await rig.conductor.restart();
    rig.machine().setFaults({ pxe_hangs: false });
    rig.machine().bootOverride.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' }, rig.machine().faults);
    await rig.machine().reset('ForceRestart');
    const done = await rig.api.settled(node, 'active');
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holder });
    await expectNothingLeft();
  }, 120_000);
});

test('a conductor that is killed while the server shuts down: the server is seen off and booted again, not left to go down by itself later', async () => {
  const rig = await Rig.start({ contentShare: 0.05, softOffMs: 4_000, config: { conductor: { soft_power_off_timeout_s: 20 } } });
  try {
    const node = await rig.enrol();
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await until('the server was asked to shut down', async () => (await rig.api.node(node)).driver_internal_info.snapshot?.boot_back === 'pending');
    await rig.conductor.process.kill();
    expect(rig.machine().powerState).toBe('On');
    await rig.conductor.restart();
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: 'done' });
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd', 'Hdd']);
    await expectServerAsBefore(rig);
  } finally {
    await rig.close();
  }
}, 120_000);

test('a conductor that is killed while it undeploys a node: nothing of the snapshot stays, and others can begin', async () => {
  const rig = await Rig.start({ contentShare: 0.05, machines: 2, config: { snapshot: { max_concurrent: 1 }, conductor: { agent_timeout_s: 2 } } });
  try {
    const [node, other] = [await rig.enrol(0), await rig.enrol(1)];
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder, snapshot_method: 'mount' });
    const copy = await processOf('qemu-img', 'convert');
    process.kill(copy.pid, 'SIGSTOP');
    await rig.api.settled(node, 'snapshot wait');
    process.kill((await processOf('node', 'ramdisk-agent/main.js')).pid, 'SIGSTOP'); // asked to stop its command, it does not answer: undeploying stands still here
    await rig.api.demand(node, 'deleted');
    expect((await rig.api.node(node)).driver_internal_info.snapshot).toMatchObject({ status: 'unfinished' });
    await rig.conductor.process.kill();
    await rig.conductor.restart();
    const ended = await rig.api.settled(node, 'error');
    expect(ended.driver_internal_info.snapshot).toMatchObject({ status: 'failed' });
    await rig.api.demand(other, 'snapshot', { image_ref: holder });
    expect((await rig.api.settled(other, 'active')).driver_internal_info.snapshot).toMatchObject({ status: 'done' });
  } finally {
    await rig.close();
  }
}, 120_000);

test('a conductor that is killed while the agent copies: the copy reaches the new one, and the snapshot goes on', async () => {
  const rig = await Rig.start({ contentShare: 0.05, diskBytes: 8 * GIB }); // large enough to be met in the middle of its copy
  try {
    const node = await rig.enrol();
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder, snapshot_method: 'mount' });
    await until('the copy is under way', async () => {
      const view = (await rig.api.node(node)).driver_internal_info.snapshot;
      return view?.step === 'converting' && (view.bytes_done ?? 0) > 0;
    });
    const { pid } = await processOf('qemu-img', 'convert');
    process.kill(pid, 'SIGSTOP');
    try {
      await rig.conductor.process.kill();
      await rig.conductor.restart();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const done = await rig.api.settled(node, 'active');
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holder });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
    await expectServerAsBefore(rig);
  } finally {
    await rig.close();
  }
}, 180_000);
