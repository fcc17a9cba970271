import { afterEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { changePower } from '../../../../conductor/workflow/power.ts';
import type { PowerTarget } from '../../../../protocol/provision.ts';
import type { FaultChange } from '../../../../simulator/faults.ts';
import { until } from '../../../rig/until.ts';
import { WorkflowStage } from './workflow-stage.ts';

let stage: WorkflowStage;
afterEach(() => stage.close());

/** Asks for a change of a machine that is on, and waits for its end. */
async function change(target: PowerTarget, faults: FaultChange): Promise<NodeRow> {
  stage = await WorkflowStage.start();
  await stage.rack.machine('machine-0').reset('On');
  const node = await stage.machineNode(0, { powerState: 'power on' });
  stage.rack.machine('machine-0').setFaults(faults);
  await changePower(stage.parts, node, target, 300, 'alice');
  return until('the change is over', async () => {
    const now = await stage.db.nodes.get(node.id);
    return now.reservation === null && now.targetPowerState === null ? now : null;
  });
}

describe('a power change that failed', () => {
  test('half-way leaves the state that the machine is in, not the one before', async () => {
    expect(await change('rebooting', { power_on: 'refused' })).toMatchObject({ powerState: 'power off', lastError: expect.stringContaining('Failed to change power state to "rebooting"') });
  });

  test('at its beginning leaves the server as it was', async () => {
    expect(await change('rebooting', { power_off: 'refused' })).toMatchObject({ powerState: 'power on', lastError: expect.stringContaining('rebooting') });
  });

  test('with a BMC that tells nothing any more leaves the state unknown', async () => {
    expect(await change('power off', { bmc: { mode: 'drop' } })).toMatchObject({ powerState: null, lastError: expect.stringContaining('power off') });
  });
});
