import { createIpmiBmcs } from '../../../conductor/drivers/ipmi-bmcs.ts';
import { createIpmitoolManagement } from '../../../conductor/drivers/management/ipmitool.ts';
import { createIpmitoolPower } from '../../../conductor/drivers/power/ipmitool.ts';
import { makeTask } from './driver-task.ts';
import { startIpmiSim } from './ipmi-sim-rig.ts';
import { describePowerContract } from './power-contract.ts';

describePowerContract('ipmitool', 'a simulated machine behind ipmi_sim', async () => {
  const { driverInfo, machine, release } = await startIpmiSim();
  const bmcs = createIpmiBmcs({ minCommandIntervalMs: 0, firstPollMs: 5, maxPollMs: 20 });
  return {
    power: createIpmitoolPower(bmcs),
    management: createIpmitoolManagement(bmcs),
    task: makeTask({ driver: 'ipmi', driverInfo }),
    brokenTask: makeTask({ driver: 'ipmi', driverInfo: { ...driverInfo, ipmi_address: 'https://10.0.0.7' } }),
    bootedFrom: () => (machine.bootLog.at(-1)?.target === 'Pxe' ? 'pxe' : 'disk'),
    release,
  };
}, { keepsBootDevices: false });
