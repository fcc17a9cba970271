import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRedfishManagement } from '../../../conductor/drivers/management/redfish.ts';
import { createRedfishPower } from '../../../conductor/drivers/power/redfish.ts';
import { createRedfishSystems } from '../../../conductor/drivers/redfish-systems.ts';
import { createLogger } from '../../../protocol/log.ts';
import { SimulatedRack } from '../../../simulator/rack.ts';
import { makeTask } from './driver-task.ts';
import { describePowerContract, type PowerSubject } from './power-contract.ts';

/** The driver against the simulated machine that demo and system tests use; a boot from the network ends nowhere, so no ramdisk starts. */
const onRack = (faults: { strict_reset: boolean }) => async (): Promise<PowerSubject> => {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-rack-'));
  const account = { username: 'admin', password: 'of-the-rack' };
  const machine = { macs: ['52:54:00:00:00:01'], disks: [], soft_off_ms: 5, agent: { api_url: 'http://127.0.0.1:1' }, faults: { pxe_hangs: true, ...faults } };
  const rack = await SimulatedRack.start({ redfish: account, run_directory: join(directory, 'run'), machines: [{ id: 'node-1', ...machine }, { id: 'node-2', ...machine }] }, createLogger('rack', 'silent'));
  const systems = createRedfishSystems({ firstPollMs: 5, maxPollMs: 20 });
  const driverInfo = { redfish_address: rack.url, redfish_username: account.username, redfish_password: account.password, redfish_system_id: '/redfish/v1/Systems/node-1' };
  return {
    power: createRedfishPower(systems),
    management: createRedfishManagement(systems),
    task: makeTask({ driverInfo }),
    brokenTask: makeTask({ driverInfo: { ...driverInfo, redfish_system_id: 'node-1' } }),
    bootedFrom: () => (rack.machine('node-1').bootLog.at(-1)?.target === 'Pxe' ? 'pxe' : 'disk'),
    async release() {
      await systems.close();
      await rack.close();
      await rm(directory, { recursive: true });
    },
  };
};

describePowerContract('redfish', 'a simulated machine', onRack({ strict_reset: false }));
describePowerContract('redfish', 'a simulated machine that refuses the state it is in', onRack({ strict_reset: true }));
