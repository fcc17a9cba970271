import { createHttpClient } from '../protocol/http-client.ts';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import type { Baremetal } from './baremetal.ts';
import type { Stage } from './stage.ts';

const systemSchema = z.object({ PowerState: z.string(), Oem: z.object({ Metalshot: z.object({ RunningFrom: z.string().nullable(), BootLog: z.array(z.object({ target: z.string() })) }) }) });

/** The server as it is after the snapshot, asked of itself and of the conductor. @throws OperationFailedError unless it is as before. */
export async function confirmServerIsBack(baremetal: Baremetal, stage: Stage, node: string, signal: AbortSignal): Promise<string> {
  const { provision_state: state, power_state: power, last_error: error } = await baremetal.json(['node', 'show', node], signal);
  if (state !== 'active' || power !== 'power on' || error) throw new OperationFailedError(`Expected the node to be active and powered on without an error, found ${JSON.stringify({ state, power, error })}`);
  const { username, password, url, system } = stage.redfish;
  const http = createHttpClient({ baseURL: url, timeoutMs: 10_000 });
  const { data } = await http.get<unknown>(system, { auth: { username, password }, signal });
  const { PowerState, Oem } = systemSchema.parse(data);
  const boots = Oem.Metalshot.BootLog.map(({ target }) => target).join(', ');
  if (PowerState !== 'On' || Oem.Metalshot.RunningFrom !== 'disk' || boots !== 'Hdd, Pxe, Hdd') {
    throw new OperationFailedError(`Expected the server to run from its own disk after boots from Hdd, Pxe, Hdd; found it ${PowerState}, running from ${Oem.Metalshot.RunningFrom ?? 'nothing'} after ${boots}`);
  }
  return state;
}
