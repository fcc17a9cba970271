import { createHttpClient } from '../protocol/http-client.ts';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import type { Baremetal } from './baremetal.ts';
import type { Stage } from './stage.ts';

const systemSchema = z.object({ PowerState: z.string(), Oem: z.object({ Metalshot: z.object({ RunningFrom: z.string().nullable(), BootLog: z.array(z.object({ target: z.string() })) }) }) });

/** The server as it is now, asked of itself and of the conductor. @throws OperationFailedError unless it runs from its own disk after exactly these boots. */
export async function confirmServerIsBack(baremetal: Baremetal, stage: Stage, node: string, expectedBoots: readonly string[], signal: AbortSignal): Promise<string> {
  const { provision_state: state, power_state: power, last_error: error } = await baremetal.json(['node', 'show', node], signal);
  if (state !== 'active' || power !== 'power on' || error) throw new OperationFailedError(`Expected the node to be active and powered on without an error, found ${JSON.stringify({ state, power, error })}`);
  const { username, password, url, system } = stage.redfish;
  const http = createHttpClient({ baseURL: url, timeoutMs: 10_000 });
  const { data } = await http.get<unknown>(system, { auth: { username, password }, signal });
  const { PowerState, Oem } = systemSchema.parse(data);
  const boots = Oem.Metalshot.BootLog.map(({ target }) => target).join(', ');
  if (PowerState !== 'On' || Oem.Metalshot.RunningFrom !== 'disk' || boots !== expectedBoots.join(', ')) {
    throw new OperationFailedError(`Expected the server to run from its own disk after boots from ${expectedBoots.join(', ')}; found it ${PowerState}, running from ${Oem.Metalshot.RunningFrom ?? 'nothing'} after ${boots}`);
  }
  return state;
}
