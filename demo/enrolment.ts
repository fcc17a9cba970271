import { z } from 'zod';
import type { Baremetal } from './baremetal.ts';
import { SERVER, type DemoServer } from './server.ts';
import type { Stage } from './stage.ts';

/** Registers the machine as Redfish hardware with its port, and takes it over as it runs: enroll, manageable, active. */
export async function enrol(baremetal: Baremetal, server: DemoServer, { redfish }: Stage, signal: AbortSignal): Promise<string> {
  // The password is in the arguments because this is how nodes are created; it is made for this run and this simulated BMC.
  const driverInfo = [`redfish_address=${redfish.url}`, `redfish_system_id=${redfish.system}`, `redfish_username=${redfish.username}`, `redfish_password=${redfish.password}`];
  const created = await baremetal.json(['node', 'create', '--driver', 'redfish', '--name', SERVER.id, ...driverInfo.flatMap((pair) => ['--driver-info', pair]), ...server.nodeArguments], signal);
  const { uuid } = z.object({ uuid: z.uuid() }).parse(created);
  await baremetal.json(['port', 'create', SERVER.mac, '--node', uuid], signal);
  const patience = String(server.patienceS);
  await baremetal.run(['node', 'manage', uuid, '--wait', patience, '--poll-interval', '0.2'], signal);
  await baremetal.run(['node', 'adopt', uuid, '--wait', patience, '--poll-interval', '0.2'], signal);
  return uuid;
}
