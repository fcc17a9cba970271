import { OperationFailedError } from '../../../protocol/errors.ts';
import type { PowerState } from '../../../protocol/provision.ts';
import type { DriverTask, PowerDriver } from '../interfaces.ts';
import { IPMI_PROPERTIES, readIpmiAccess } from '../ipmi-access.ts';
import { pause, type IpmiBmc, type IpmiBmcs } from '../ipmi-bmcs.ts';
import { IpmiError } from '../ipmi-failure.ts';

type PowerCommand = 'on' | 'off' | 'soft';
const COMMANDS: Readonly<Record<PowerState, PowerCommand>> = { 'power on': 'on', 'power off': 'off' };
/** A command that is refused so often, while the state is still another one, is refused for good. */
const MAX_REFUSALS = 3;

/** Power of a server by IPMI chassis commands to its BMC. */
export function createIpmitoolPower(bmcs: IpmiBmcs): PowerDriver {
  return {
    name: 'ipmitool',
    properties: IPMI_PROPERTIES,

    async validate({ node }) {
      readIpmiAccess(node.driverInfo);
    },

    async getPowerState(task) {
      return readPowerState(bmcs.of(task), task.signal);
    },

    async setPowerState(task, target, timeoutMs) {
      const bmc = bmcs.of(task);
      const found = await reach(bmc, task, target, COMMANDS[target], timeoutMs, MAX_REFUSALS);
      if (found !== true) throw new OperationFailedError(`BMC ${bmc.name}: the server did not reach "${target}" within ${timeoutMs / 1_000} s; ${found}`);
    },

    async softPowerOff(task, timeoutMs) {
      try {
        return (await reach(bmcs.of(task), task, 'power off', 'soft', timeoutMs, Infinity)) === true;
      } catch (error) {
        if (!(error instanceof IpmiError) || !isUnable(error)) throw error;
        task.log.warn({ reason: error.message }, 'the BMC cannot ask the operating system to shut down');
        return false;
      }
    },
  };
}

/** The BMC knows no soft shutdown; any other refusal may mean "not now" (while the system starts). Words of ipmitool for completion code C1h. */
const isUnable = (error: IpmiError): boolean => error.reason === 'refused' && /Invalid command|rsp=0xc1/i.test(error.message);

async function readPowerState(bmc: IpmiBmc, signal: AbortSignal): Promise<PowerState> {
  const output = await bmc.run(['chassis', 'power', 'status'], signal, /Chassis Power is/);
  const state = /Chassis Power is (on|off)/i.exec(output)?.[1]?.toLowerCase();
  if (state === undefined) throw new OperationFailedError(`BMC ${bmc.name} does not tell the power state: expected "Chassis Power is on" or "off", found ${JSON.stringify(output.slice(0, 200))}`);
  return state === 'on' ? 'power on' : 'power off';
}

/**
 * Looks, asks, and looks again until the BMC itself reports the state. A command whose answer was lost is sent again
 * only after another look.
 * @returns true, or what was found instead when the time is over.
 */
async function reach(bmc: IpmiBmc, task: DriverTask, target: PowerState, command: PowerCommand, timeoutMs: number, maxRefusals: number): Promise<true | string> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([task.signal, deadline]);
  let accepted = false;
  let refusals = 0;
  let found = 'the BMC did not answer';
  for (let pauseMs = bmc.options.firstPollMs; ; pauseMs = Math.min(pauseMs * 1.5, bmc.options.maxPollMs)) {
    try {
      const state = await readPowerState(bmc, signal);
      if (state === target) return true;
      found = `the BMC reports "${state}"`;
      if (!accepted) {
        await bmc.run(['chassis', 'power', command], signal);
        accepted = true;
      }
      await pause(pauseMs, bmc.name, signal);
    } catch (error) {
      if (deadline.aborted && !task.signal.aborted) return found;
      if (!(error instanceof IpmiError)) throw error;
      if (error.reason === 'refused') refusals += 1; // a machine that is there already may refuse, too: the next look tells
      if (refusals >= maxRefusals || (command === 'soft' && isUnable(error)) || !(error.failure.passing || error.reason === 'refused')) throw error;
      found = error.message;
      task.log.debug({ reason: error.message }, 'the BMC did not do it yet');
      await pause(pauseMs, bmc.name, signal).catch((reason: unknown) => {
        if (task.signal.aborted) throw reason; // otherwise the deadline ended the pause: the next look says so
      });
    }
  }
}
