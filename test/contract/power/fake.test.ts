import { createFakeMachines } from '../../../conductor/drivers/fake-machines.ts';
import { createFakeManagement } from '../../../conductor/drivers/management/fake.ts';
import { createFakePower } from '../../../conductor/drivers/power/fake.ts';
import { makeTask } from './driver-task.ts';
import { describePowerContract } from './power-contract.ts';

describePowerContract('fake', 'a machine in memory', async () => {
  const machines = createFakeMachines();
  return { power: createFakePower(machines), management: createFakeManagement(machines), task: makeTask(), brokenTask: makeTask({ driverInfo: { fake_power_fail: 7 } }), bootedFrom: null, release: async () => undefined };
});
