import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import { createHttpClient } from '../protocol/http-client.ts';
import type { Baremetal } from './baremetal.ts';
import type { DemoServer } from './server.ts';
import type { Stage } from './stage.ts';

const systemSchema = z.object({ PowerState: z.string(), Oem: z.object({ Metalshot: z.object({ RunningFrom: z.string().nullable(), BootLog: z.array(z.object({ target: z.string(), log: z.string().nullable() })) }) }) });
const LOOK_INTERVAL_MS = 500;
const SHOWN_CONSOLE_LINES = 20;

export interface Witnesses {
  baremetal: Baremetal;
  server: DemoServer;
  stage: Stage;
  node: string;
  signal: AbortSignal;
}

/** The server as it is now, asked of itself and of the conductor. @throws OperationFailedError unless it runs from its own disk after exactly these boots. */
export async function confirmServerIsBack({ baremetal, server, stage, node, signal }: Witnesses, expectedBoots: readonly string[]): Promise<string> {
  const { provision_state: state, power_state: power, last_error: error } = await baremetal.json(['node', 'show', node], signal);
  if (state !== 'active' || power !== 'power on' || error) throw new OperationFailedError(`Expected the node to be active and powered on without an error, found ${JSON.stringify({ state, power, error })}`);
  const { PowerState, Oem } = await askBmc(stage, signal);
  const boots = Oem.Metalshot.BootLog.map(({ target }) => target).join(', ');
  if (PowerState !== 'On' || boots !== expectedBoots.join(', ')) throw new OperationFailedError(`Expected the server to be on after boots from ${expectedBoots.join(', ')}; found it ${PowerState} after ${boots}`);
  if (server.bootMarker !== null) await awaitOwnSystem(server, stage, signal);
  else if (Oem.Metalshot.RunningFrom !== 'disk') throw new OperationFailedError(`Expected the server to run from its own disk; it runs from ${Oem.Metalshot.RunningFrom ?? 'nothing'}`);
  return state;
}

/**
 * Waits until the server's own system has said on the serial port, in its newest boot, that it runs from its disk.
 * @returns what it said. @throws OperationFailedError with the end of what it wrote instead.
 */
export async function awaitOwnSystem({ bootMarker, patienceS }: DemoServer, stage: Stage, signal: AbortSignal): Promise<string> {
  const giveUpAt = Date.now() + patienceS * 1_000;
  for (;;) {
    const lines = await newestConsole(stage, signal);
    const said = lines.find((line) => bootMarker !== null && line.includes(bootMarker));
    if (said !== undefined) return said.trim();
    if (Date.now() > giveUpAt) throw new OperationFailedError(`The server has not written "${bootMarker}" on its serial port within ${patienceS} s, but:\n${lines.slice(-SHOWN_CONSOLE_LINES).join('\n')}`);
    await pause(LOOK_INTERVAL_MS, undefined, { signal });
  }
}

async function newestConsole(stage: Stage, signal: AbortSignal): Promise<string[]> {
  const { Oem } = await askBmc(stage, signal);
  const log = Oem.Metalshot.BootLog.at(-1)?.log;
  return log ? (await readFile(log, 'latin1')).split(/[\r\n]+/) : [];
}

async function askBmc({ redfish: { username, password, url, system } }: Stage, signal: AbortSignal): Promise<z.infer<typeof systemSchema>> {
  const http = createHttpClient({ baseURL: url, timeoutMs: 10_000 });
  const { data } = await http.get<unknown>(system, { auth: { username, password }, signal });
  return systemSchema.parse(data);
}
