/** The limit of concurrent captures: whoever waits for its turn waits with its server up. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { describeWhere } from '../../machine-needs.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { Rig } from '../../rig/rig.ts';

describeWhere(['root', 'fuse', 'loop'], 'with one capture at a time and two servers', () => {
  let rig: Rig;
  let first: string;
  let second: string;
  beforeEach(async () => {
    rig = await Rig.start({ machines: 2, contentShare: 0.05, config: { snapshot: { max_concurrent: 1 } } });
    [first, second] = [await rig.enrol(0), await rig.enrol(1)];
  }, 60_000);
  afterEach(() => rig.close(), 60_000);

  /** The first snapshot stands still in its capture, the second has been asked for. */
  async function bothRequested(): Promise<{ holders: [string, string]; copy: number }> {
    const holders: [string, string] = [await rig.createHolder(), await rig.createHolder()];
    await rig.api.demand(first, 'snapshot', { image_ref: holders[0], snapshot_method: 'mount' });
    const { pid: copy } = await processOf('qemu-img', 'convert');
    process.kill(copy, 'SIGSTOP');
    await rig.api.demand(second, 'snapshot', { image_ref: holders[1] });
    expect((await rig.api.settled(second, 'snapshot wait')).driver_internal_info.snapshot).toMatchObject({ phase: 'queue', status: 'unfinished', boot_back: null });
    return { holders, copy };
  }
  const boots = (index: number): string[] => rig.machine(index).bootLog.map((boot) => boot.target);
  const beginOf = (node: string, phase: string): number => rig.conductor.process.lines.findIndex((line) => line.msg === 'phase begins' && line['node'] === node && line['phase'] === phase);

  test('the second waits with its server on until the first is proven whole; then both end active', async () => {
    const { holders, copy } = await bothRequested();
    expect({ boots: boots(1), from: rig.machine(1).runningFrom }).toEqual({ boots: ['Hdd'], from: 'disk' });
    process.kill(copy, 'SIGCONT');
    for (const [index, node] of [first, second].entries()) {
      const done = await rig.api.settled(node, 'active', 90_000);
      expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', image_ref: holders[index], boot_back: 'done' });
      expect(await rig.image(holders[index] ?? '')).toMatchObject({ status: 'active', os_hash_value: done.driver_internal_info.snapshot?.os_hash_value });
      expect(boots(index)).toEqual(['Hdd', 'Pxe', 'Hdd']);
    }
    for (const index of [0, 1]) await expectServerAsBefore(rig, index);
    const [proven, turn] = [beginOf(first, 'boot back'), beginOf(second, 'quiesce')];
    expect(proven).toBeGreaterThan(beginOf(first, 'verify'));
    expect(turn).toBeGreaterThan(proven);
  }, 120_000);

  test('one that is aborted while it waits leaves its server alone, and the first goes on', async () => {
    const { holders, copy } = await bothRequested();
    await rig.api.demand(second, 'abort');
    const aborted = await rig.api.settled(second, 'snapshot failed');
    expect(aborted.last_error).toMatch(/By request of anonymous.*aborted/);
    expect(aborted.driver_internal_info.snapshot).toMatchObject({ status: 'failed', phase: 'queue' });
    await rig.api.demand(second, 'abort');
    await rig.api.settled(second, 'active');
    expect({ boots: boots(1), from: rig.machine(1).runningFrom }).toEqual({ boots: ['Hdd'], from: 'disk' });
    expect(rig.machine(1).bootOverride).toMatchObject({ enabled: 'Disabled' });
    expect(await rig.image(holders[1])).toMatchObject({ status: 'queued', disk_format: null });

    process.kill(copy, 'SIGCONT');
    const done = await rig.api.settled(first, 'active', 90_000);
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done' });
    expect(boots(1)).toEqual(['Hdd']);
    await expectServerAsBefore(rig, 0);
  }, 120_000);
});
