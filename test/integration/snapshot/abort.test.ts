import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { expectNothingLeft, expectServerAsBefore, expectSnapshotSucceeds } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { Rig } from '../../rig/rig.ts';

describe('a snapshot that is called off', () => {
  let rig: Rig;
  let node: string;
  beforeAll(async () => {
    rig = await Rig.start({ contentShare: 0.05 });
    node = await rig.enrol();
    await rig.api.expect(200, 'PATCH', `/v1/nodes/${node}`, [{ op: 'replace', path: '/automated_clean', value: false }]); // the next test needs the disk
  }, 120_000);
  afterAll(() => rig.close(), 60_000);
  afterEach(() => rig.machine().setFaults({ pxe_hangs: false, power_off: 'works' }));

  /** The ramdisk never comes: the node waits for it for as long as the test likes. */
  async function untilWaitingForRamdisk(): Promise<string> {
    const holder = await rig.createHolder();
    rig.machine().setFaults({ pxe_hangs: true });
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    await rig.api.settled(node, 'snapshot wait');
    return holder;
  }

  /** The disk is being copied, and the copy stands still (SIGSTOP) for as long as the test likes. */
  async function untilStreaming(): Promise<{ holder: string; copy: number }> {
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder, snapshot_method: 'mount' });
    const { pid } = await processOf('qemu-img', 'convert');
    process.kill(pid, 'SIGSTOP');
    await rig.api.settled(node, 'snapshot wait');
    return { holder, copy: pid };
  }

  async function expectAborted(holder: string): Promise<void> {
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toMatch(/aborted/);
    expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: 'done' });
    expect(await rig.image(holder)).toMatchObject({ status: 'queued', disk_format: null });
    await expectServerAsBefore(rig);
  }

  test('abort while the ramdisk is awaited: snapshot failed, the server back; a second abort: active', async () => {
    const holder = await untilWaitingForRamdisk();
    await rig.api.demand(node, 'abort');
    await expectAborted(holder);
    await rig.api.demand(node, 'abort');
    expect(await rig.api.settled(node, 'active')).toMatchObject({ last_error: null, target_provision_state: null });
    expect(rig.machine().runningFrom).toBe('disk');
  }, 120_000);

  test('abort while data streams: the copy is ended, nothing arrives any more, and a retry succeeds', async () => {
    const { holder } = await untilStreaming();
    await rig.api.demand(node, 'abort');
    await expectAborted(holder);
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);

  test('deleted while the ramdisk is awaited: the node is undeployed, its server off, the holder free', async () => {
    const holder = await untilWaitingForRamdisk();
    await rig.api.demand(node, 'deleted');
    await expectUndeployed(holder);
  }, 120_000);

  test('deleted while data streams', async () => {
    const { holder } = await untilStreaming();
    await rig.api.demand(node, 'deleted');
    await expectUndeployed(holder);
  }, 120_000);

  test('deleted from snapshot failed', async () => {
    const holder = await untilWaitingForRamdisk();
    await rig.api.demand(node, 'abort');
    await rig.api.settled(node, 'snapshot failed');
    await rig.api.demand(node, 'deleted');
    await expectUndeployed(holder);
  }, 120_000);

  test('an undeployment that fails leaves nobody who would boot the server back behind the operator; repeated, it succeeds', async () => {
    const holder = await untilWaitingForRamdisk();
    rig.machine().setFaults({ power_off: 'refused' });
    await rig.api.demand(node, 'deleted');
    const stuck = await rig.api.settled(node, 'error');
    expect(stuck.driver_internal_info.snapshot).toMatchObject({ status: 'failed', boot_back: null });
    rig.machine().setFaults({ power_off: 'works' });
    await rig.api.demand(node, 'deleted');
    await expectUndeployed(holder);
  }, 120_000);

  /** And makes the node active again for the next test. */
  async function expectUndeployed(holder: string): Promise<void> {
    const gone = await rig.api.settled(node, 'available');
    expect(gone.driver_internal_info.snapshot).toMatchObject({ status: 'failed' });
    expect(rig.machine().powerState).toBe('Off');
    await expectNothingLeft(rig);
    expect(await rig.image(holder)).toMatchObject({ status: 'queued', disk_format: null });
    const free = await rig.api.request('PUT', `/v1/nodes/${node}/states/provision`, { target: 'manage' });
    expect(free.status).toBe(202);
    await rig.api.settled(node, 'manageable');
    await rig.api.demand(node, 'adopt');
    await rig.api.settled(node, 'active');
    await rig.machine().reset('On');
  }

  test('a server that was off before its snapshot is off after it', async () => {
    await rig.api.expect(202, 'PUT', `/v1/nodes/${node}/states/power`, { target: 'power off' });
    await rig.api.settled(node, 'active');
    expect(rig.machine().powerState).toBe('Off');
    const holder = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: holder });
    const done = await rig.api.settled(node, 'active');
    expect(done).toMatchObject({ power_state: 'power off' });
    expect(done.driver_internal_info.snapshot).toMatchObject({ status: 'done', boot_back: 'done' });
    expect(rig.machine().powerState).toBe('Off');
    expect((await rig.image(holder)).status).toBe('active');
  }, 120_000);
});
