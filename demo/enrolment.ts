import { z } from 'zod';
import type { Baremetal } from './baremetal.ts';
import { MACHINE, type Stage } from './stage.ts';

/** Registers the machine as Redfish hardware with its port, and takes it over as it runs: enroll, manageable, active. */
export async function enrol(baremetal: Baremetal, { redfish }: Stage, signal: AbortSignal): Promise<string> {
  // The password is in the arguments because this is how nodes are created; it is made for this run and this simulated BMC.
  const driverInfo = [`redfish_address=${redfish.url}`, `redfish_system_id=${redfish.system}`, `redfish_username=${redfish.username}`, `redfish_password=${redfish.password}`];
  const created = await baremetal.json(['node', 'create', '--driver', 'redfish', '--name', MACHINE.id, ...driverInfo.flatMap((pair) => ['--driver-info', pair]), '--property', 'cpu_arch=x86_64'], signal);
  const { uuid } = z.object({ uuid: z.uuid() }).parse(created);
  await baremetal.json(['port', 'create', MACHINE.mac, '--node', uuid], signal);
  await baremetal.run(['node', 'manage', uuid, '--wait', '60', '--poll-interval', '0.2'], signal);
  await baremetal.run(['node', 'adopt', uuid, '--wait', '60', '--poll-interval', '0.2'], signal);
  return uuid;
}
