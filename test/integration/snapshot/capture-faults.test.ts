import { afterEach, describe, expect, test } from '@jest/globals';
import { expectCleanFailure, expectSnapshotSucceeds } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { Rig, type RigOptions } from '../../rig/rig.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { freePort } from '../../rig/free-port.ts';
import { until } from '../../rig/until.ts';

const MIB = 1024 ** 2;

/** Faults of everything between the disk and the spool on the way through the mount, each made at the real part. */
describe('a capture that can not succeed ends in snapshot failed, and the server runs as before', () => {
  let rig: Rig | undefined;
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  }, 60_000);

  async function begin(options: RigOptions = {}): Promise<{ rig: Rig; node: string; holder: string; snapshot: () => Promise<void> }> {
    rig = await Rig.start({ contentShare: 0.05, ...options });
    const begun = rig;
    const node = await begun.enrol();
    const holder = await begun.createHolder();
    return { rig: begun, node, holder, snapshot: () => begun.api.demand(node, 'snapshot', { image_ref: holder, snapshot_method: 'mount' }) };
  }

  test('the agent never comes', async () => {
    const { rig, node, holder, snapshot } = await begin({ config: { conductor: { callback_timeout_s: 2 } } });
    rig.machine().setFaults({ pxe_hangs: true });
    await snapshot();
    await expectCleanFailure(rig, node, holder, /ramdisk did not call back within 2 s/);
    rig.machine().setFaults({ pxe_hangs: false });
  }, 120_000);

  test('qemu-img is killed', async () => {
    const { rig, node, holder, snapshot } = await begin();
    await snapshot();
    process.kill((await processOf('qemu-img', 'convert')).pid, 'SIGKILL');
    await expectCleanFailure(rig, node, holder, /qemu-img was killed by SIGKILL/);
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);

  test('the cache is too small for the image', async () => {
    const { rig, node, holder, snapshot } = await begin({ agent: { cache_size_bytes: 8 * MIB } });
    await snapshot();
    await expectCleanFailure(rig, node, holder, /does not fit the cache/);
  }, 120_000);

  test('the share refuses, because the image is larger than its quota', async () => {
    const { rig, node, holder, snapshot } = await begin({ config: { snapshot: { max_image_bytes: 8 * MIB } } });
    await snapshot();
    await expectCleanFailure(rig, node, holder, /The share says: .*quota/i);
  }, 120_000);

  test('the share is cut off while the disk is mounted and copied', async () => {
    const provisioningPort = await freePort();
    const relay = await TcpRelay.to({ port: provisioningPort });
    try {
      const { rig, node, holder, snapshot } = await begin({
        config: { provisioning: { port: provisioningPort, advertise_url: `https://127.0.0.1:${relay.port}` }, snapshot: { stall_timeout_s: 10 } },
        agent: { api_url: `https://127.0.0.1:${relay.port}` },
      });
      await snapshot();
      const { pid } = await processOf('qemu-img', 'convert');
      process.kill(pid, 'SIGSTOP');
      relay.cut();
      process.kill(pid, 'SIGCONT');
      await expectCleanFailure(rig, node, holder, /share|davfs2|left|upload|stall|progress/i);
      relay.mend();
      await expectSnapshotSucceeds(rig, node);
    } finally {
      await relay.close();
    }
  }, 180_000);

  test('the agent is killed while it copies: it comes back and says that its command is lost', async () => {
    const { rig, node, holder, snapshot } = await begin();
    await snapshot();
    const copy = await processOf('qemu-img', 'convert');
    process.kill(copy.pid, 'SIGSTOP');
    const agent = await processOf('node', 'ramdisk-agent/main.js');
    process.kill(agent.pid, 'SIGKILL');
    await expectCleanFailure(rig, node, holder, /restarted/);
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);

  test('the machine loses power while it copies', async () => {
    const { rig, node, holder, snapshot } = await begin({ config: { snapshot: { stall_timeout_s: 3 }, conductor: { agent_timeout_s: 1 } } });
    await snapshot();
    const copy = await processOf('qemu-img', 'convert');
    process.kill(copy.pid, 'SIGSTOP');
    await rig.api.settled(node, 'snapshot wait');
    await rig.machine().reset('ForceOff');
    await expectCleanFailure(rig, node, holder, /stalled/);
    await expectSnapshotSucceeds(rig, node);
  }, 120_000);

  test('the copy stands still', async () => {
    const { rig, node, holder, snapshot } = await begin({ config: { snapshot: { stall_timeout_s: 3 } } });
    await snapshot();
    process.kill((await processOf('qemu-img', 'convert')).pid, 'SIGSTOP');
    await expectCleanFailure(rig, node, holder, /stall|progress/);
  }, 120_000);

  test('the BMC dies after the server was switched off: the node is in maintenance with a fault after a few attempts, and the server back once the BMC answers again', async () => {
    const { rig, node, holder, snapshot } = await begin({ config: { conductor: { power_timeout_s: 3 } } });
    rig.machine().setFaults({ power_on: 'refused' });
    await snapshot();
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toMatch(/could not be booted back/);
    expect(rig.machine().runningFrom).toBeNull();
    const broken = await until('the node is in maintenance', async () => [await rig.api.node(node)].find((view) => view['maintenance'] === true));
    expect(broken).toMatchObject({ provision_state: 'snapshot failed', fault: 'power failure', maintenance_reason: expect.stringMatching(/booted back from its own disk 3 times in a row/) });
    rig.machine().setFaults({ power_on: 'works' });
    await expectBackAgain(rig, node);
    expect(await rig.api.node(node)).toMatchObject({ maintenance: false, maintenance_reason: null, fault: null });
    expect(await rig.image(holder)).toMatchObject({ status: 'queued' });
    await rig.api.demand(node, 'abort');
    await rig.api.settled(node, 'active');
  }, 120_000);

  async function expectBackAgain(rig: Rig, node: string): Promise<void> {
    await until('the server is booted back', async () => (await rig.api.node(node)).driver_internal_info.snapshot?.boot_back === 'done');
    expect(rig.machine().runningFrom).toBe('disk');
  }
});
