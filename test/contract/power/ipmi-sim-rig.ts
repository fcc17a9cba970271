import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../../protocol/log.ts';
import type { SimulatedMachine } from '../../../simulator/machine.ts';
import { SimulatedRack } from '../../../simulator/rack.ts';

/** A simulated machine behind a real IPMI BMC. */
export interface IpmiSimRig {
  machine: SimulatedMachine;
  driverInfo: Record<string, string | number>;
  release(): Promise<void>;
}

/** A boot from the network ends nowhere, so no ramdisk starts. */
export async function startIpmiSim(more: { kg_key?: string } = {}): Promise<IpmiSimRig> {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-ipmi-'));
  const login = { username: 'operator', password: 'of-the-bmc' };
  const machine = { id: 'node-1', macs: ['52:54:00:00:00:01'], disks: [], soft_off_ms: 5, agent: { api_url: 'http://127.0.0.1:1' }, faults: { pxe_hangs: true }, ipmi: { ...login, ...more } };
  try {
    const rack = await SimulatedRack.start({ redfish: { username: 'admin', password: 'of-the-rack' }, run_directory: join(directory, 'run'), machines: [machine] }, createLogger('rack', 'silent'));
    const { address, port } = rack.describe().machines[0]?.ipmi ?? { address: '', port: 0 };
    return {
      machine: rack.machine('node-1'),
      driverInfo: { ipmi_address: address, ipmi_port: port, ipmi_username: login.username, ipmi_password: login.password },
      async release() {
        await rack.close();
        await rm(directory, { recursive: true });
      },
    };
  } catch (error) {
    await rm(directory, { recursive: true });
    throw error;
  }
}
