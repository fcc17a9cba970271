import { createIpmiBmcs } from '../../../conductor/drivers/ipmi-bmcs.ts';
import { createIpmitoolManagement } from '../../../conductor/drivers/management/ipmitool.ts';
import { createIpmitoolPower } from '../../../conductor/drivers/power/ipmitool.ts';
import { makeTask } from './driver-task.ts';
import { IpmiDouble } from './ipmi-double.ts';
import { describePowerContract } from './power-contract.ts';

describePowerContract('ipmitool', 'a slow BMC of IPMI 1.5', async () => {
  const bmc = await IpmiDouble.start({ readsUntilSettled: 2 });
  const bmcs = createIpmiBmcs({ minCommandIntervalMs: 0, firstPollMs: 5, maxPollMs: 20 });
  return {
    power: createIpmitoolPower(bmcs),
    management: createIpmitoolManagement(bmcs),
    task: makeTask({ driver: 'ipmi', driverInfo: bmc.driverInfo }),
    brokenTask: makeTask({ driver: 'ipmi', driverInfo: { ...bmc.driverInfo, ipmi_port: 'console' } }),
    bootedFrom: () => (bmc.boots.at(-1)?.selector === 1 ? 'pxe' : 'disk'),
    release: () => bmc.stop(),
  };
});
