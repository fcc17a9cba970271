import { createRedfishManagement } from '../../../conductor/drivers/management/redfish.ts';
import { createRedfishPower } from '../../../conductor/drivers/power/redfish.ts';
import { createRedfishSystems } from '../../../conductor/drivers/redfish-systems.ts';
import { makeTask } from './driver-task.ts';
import { describePowerContract } from './power-contract.ts';
import { RedfishDouble } from './redfish-double.ts';

describePowerContract('redfish', 'a slow BMC', async () => {
  const bmc = await RedfishDouble.start({ readsUntilSettled: 2 });
  const systems = createRedfishSystems({ firstPollMs: 5, maxPollMs: 20 });
  return {
    power: createRedfishPower(systems),
    management: createRedfishManagement(systems),
    task: makeTask({ driverInfo: bmc.driverInfo }),
    brokenTask: makeTask({ driverInfo: { redfish_username: 'admin' } }),
    bootedFrom: () => (bmc.system().boots.at(-1) === 'Pxe' ? 'pxe' : 'disk'),
    async release() {
      await systems.close();
      await bmc.stop();
    },
  };
});
