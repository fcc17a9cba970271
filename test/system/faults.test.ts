import { expect, test } from '@jest/globals';
import { bootMarker } from '../../demo/own-system.ts';
import { describeWhere } from '../machine-needs.ts';
import type { NodeView } from '../rig/baremetal-api.ts';
import { plugConductor, unplugConductor } from '../rig/provisioning-network.ts';
import { LOOK_INTERVAL_MS } from '../rig/serial-console.ts';
import { labelOf, type SystemMachineOptions } from '../rig/system-machine.ts';
import { SystemRig } from '../rig/system-rig.ts';
import { takeTimedSnapshot, SNAPSHOT_TIMEOUT_MS } from '../rig/timed-snapshot.ts';
import { until } from '../rig/until.ts';

const MACHINE: SystemMachineOptions = { firmware: 'bios', bmc: 'redfish' };
const MARKER = bootMarker(labelOf(0));
const SILENCE_S = 15;

/** An active node whose server runs from its own disk. */
async function enrolRunning(rig: SystemRig): Promise<string> {
  await rig.console().until(MARKER);
  return rig.enrol();
}

/** Begins a snapshot by the mount, which takes its time, and waits until it has read some of the disk. */
async function beginCapture(rig: SystemRig, node: string): Promise<string> {
  const holder = await rig.beginSnapshot(node, { snapshot_method: 'mount' });
  await nodeWhen(rig, node, 'is being captured', ({ driver_internal_info: { snapshot } }) => snapshot?.phase === 'streaming' && (snapshot.bytes_done ?? 0) > 0);
  return holder;
}

function nodeWhen(rig: SystemRig, node: string, what: string, holds: (view: NodeView) => boolean): Promise<NodeView> {
  let seen: NodeView | undefined;
  const look = async (): Promise<NodeView | null> => {
    seen = await rig.api.node(node);
    return holds(seen) ? seen : null;
  };
  return until(`the node ${what}`, look, SNAPSHOT_TIMEOUT_MS, () => seen, LOOK_INTERVAL_MS);
}

/** The snapshot has failed for the reason, the holder is as found, and the machine has booted its own disk as boot number `boot`. */
async function expectCleanFailure(rig: SystemRig, node: string, holder: string, reason: RegExp, boot: number): Promise<void> {
  await rig.settled(node, 'snapshot failed', SNAPSHOT_TIMEOUT_MS);
  const failed = await nodeWhen(rig, node, 'is booted back', ({ driver_internal_info: { snapshot } }) => snapshot?.boot_back === 'done');
  expect(failed.last_error).toMatch(reason);
  expect(failed.driver_internal_info.snapshot).toMatchObject({ status: 'failed', image_ref: holder });
  expect(await rig.images.show(holder)).toMatchObject({ status: 'queued' });
  expect((await rig.console().until(MARKER, { after: boot - 1 })).boot).toBe(boot);
  expect(rig.machine().bootLog.map(({ target }) => target).at(-1)).toBe('Hdd');
  await rig.api.demand(node, 'abort');
  await rig.settled(node, 'active');
}

describeWhere(['root', 'tun', 'network namespace'], 'a snapshot that can not succeed: the server runs from its own disk again', () => {
  test('the machine never gets an address', async () => {
    await SystemRig.with({ machines: [MACHINE], config: { conductor: { callback_timeout_s: SILENCE_S } } }, async (rig) => {
      const node = await enrolRunning(rig);
      rig.machine().bootOverride.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' }, rig.machine().faults); // how it was before
      await unplugConductor();
      const holder = await rig.beginSnapshot(node);
      await expectCleanFailure(rig, node, holder, new RegExp(`did not call back within ${SILENCE_S} s`), 3);
      expect(rig.machine().bootOverride).toMatchObject({ target: 'Pxe', enabled: 'Continuous' });
      await plugConductor();
    });
  }, SNAPSHOT_TIMEOUT_MS);

  test('the power is cut, the agent is killed, the BMC falls silent, each during a capture; and the next one succeeds', async () => {
    await SystemRig.with({ machines: [MACHINE], config: { boot: { kernel_parameters: 'console=ttyS0,115200n8 metalshot-shell' }, snapshot: { stall_timeout_s: SILENCE_S }, conductor: { power_timeout_s: 10, soft_power_off_timeout_s: 10, agent_timeout_s: 5 } } }, async (rig) => {
      const node = await enrolRunning(rig);
      const unplugged = await beginCapture(rig, node);
      await rig.machine().reset('ForceOff');
      await expectCleanFailure(rig, node, unplugged, /stalled/, 3);

      const killed = await beginCapture(rig, node);
      rig.console().typeLine('kill -KILL $(cat /run/metalshot/agent.pid)');
      await expectCleanFailure(rig, node, killed, /restarted/, 5);

      const silent = await beginCapture(rig, node);
      rig.machine().setFaults({ bmc: { mode: 'drop' } });
      const broken = await nodeWhen(rig, node, 'is in maintenance', (view) => view['maintenance'] === true);
      expect(broken).toMatchObject({ fault: 'power failure', maintenance_reason: expect.stringMatching(/3 times in a row/) });
      await nodeWhen(rig, node, 'is given up', (view) => view['provision_state'] === 'snapshot failed');
      rig.machine().setFaults({ bmc: null });
      await expectCleanFailure(rig, node, silent, /./, 7);
      expect(await rig.api.node(node)).toMatchObject({ maintenance: false, fault: null });

      await takeTimedSnapshot(rig, node);
    });
  }, 5 * SNAPSHOT_TIMEOUT_MS);
});
