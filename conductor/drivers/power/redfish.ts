import { OperationFailedError } from '../../../protocol/errors.ts';
import type { PowerState } from '../../../protocol/provision.ts';
import { BmcError } from '../bmc-error.ts';
import type { DriverTask, PowerDriver } from '../interfaces.ts';
import { readRedfishAccess, REDFISH_PROPERTIES } from '../redfish-access.ts';
import { pause } from '../redfish-exchange.ts';
import { TaskFailedError } from '../redfish-task.ts';
import { UnavailableResetError, type RedfishSystem, type RedfishSystems } from '../redfish-systems.ts';

const REDFISH_STATES = { 'power on': 'On', 'power off': 'Off' } as const;
/** By target, the reset types that lead there, best first. */
const RESET_TYPES: Readonly<Record<PowerState, readonly string[]>> = { 'power on': ['On', 'ForceOn'], 'power off': ['ForceOff'] };
const SOFT_RESET_TYPES = ['GracefulShutdown'];
/** A request that is refused with 400 so often, while the state is still another one, is refused for good. */
const MAX_REFUSALS = 3;
/** Answers by which a BMC says that it cannot ask the operating system to shut down; 400 and 409 may mean "not now" (while it starts), so they are heard again until the time is over. */
const UNABLE_STATUSES: readonly (number | null)[] = [405, 501];

/** Power of a server by the Redfish service of its BMC. */
export function createRedfishPower(systems: RedfishSystems): PowerDriver {
  return {
    name: 'redfish',
    properties: REDFISH_PROPERTIES,

    async validate({ node }) {
      await readRedfishAccess(node.driverInfo);
    },

    async getPowerState(task) {
      const system = await systems.of(task);
      const { PowerState: state } = (await system.read(task.signal)).system;
      if (typeof state !== 'string') throw new OperationFailedError(`BMC ${system.origin} does not tell the power state: expected On or Off, found ${JSON.stringify(state ?? null)}`);
      return state === 'Off' ? 'power off' : 'power on'; // one that is still powering off, or paused, is not off
    },

    async setPowerState(task, target, timeoutMs) {
      const system = await systems.of(task);
      const found = await reach(system, task, target, RESET_TYPES[target], timeoutMs, MAX_REFUSALS);
      if (found !== true) throw new OperationFailedError(`BMC ${system.origin}: the server did not reach "${target}" within ${timeoutMs / 1_000} s; ${found}`);
    },

    async softPowerOff(task, timeoutMs) {
      const system = await systems.of(task);
      try {
        return (await reach(system, task, 'power off', SOFT_RESET_TYPES, timeoutMs, Infinity)) === true;
      } catch (error) {
        const unable = error instanceof UnavailableResetError || error instanceof TaskFailedError || (error instanceof BmcError && UNABLE_STATUSES.includes(error.failure.status));
        if (!unable) throw error;
        task.log.warn({ reason: error.message }, 'the BMC cannot ask the operating system to shut down');
        return false;
      }
    },
  };
}

/**
 * Looks, asks, and looks again until the BMC itself reports the state. A command whose answer was lost is sent again
 * only after another look; "already so" and "not now" answers (400, 409) are settled by looking, too.
 * @returns true, or what was found instead when the time is over.
 */
async function reach(system: RedfishSystem, task: DriverTask, target: PowerState, resetTypes: readonly string[], timeoutMs: number, maxRefusals: number): Promise<true | string> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([task.signal, deadline]);
  let accepted = false;
  let monitor: string | null = null;
  let refusals = 0;
  let found = 'the BMC did not answer';
  for (let pauseMs = system.options.firstPollMs; ; pauseMs = Math.min(pauseMs * 1.5, system.options.maxPollMs)) {
    try {
      const { system: now } = await system.read(signal);
      if (now.PowerState === REDFISH_STATES[target]) return true;
      found = `the BMC reports ${JSON.stringify(now.PowerState ?? null)}`;
      if (!accepted) {
        monitor = await system.reset(now, resetTypes, signal);
        accepted = true;
      } else if (monitor !== null && (await system.client.look(monitor, signal)) === 'done') {
        monitor = null;
      }
      await pause(pauseMs, system.origin, signal);
    } catch (error) {
      if (deadline.aborted && !task.signal.aborted) return found;
      if (!(error instanceof BmcError)) throw error;
      const { status, passing } = error.failure;
      const hasFailedLater = error instanceof TaskFailedError;
      if (status === 400 || hasFailedLater) refusals += 1;
      if (refusals >= maxRefusals || !(passing || status === 400 || status === 409 || hasFailedLater)) throw error;
      if (hasFailedLater) accepted = false;
      found = error.message;
      task.log.debug({ reason: error.message }, 'the BMC did not do it yet');
      await pause(pauseMs, system.origin, signal).catch((reason: unknown) => {
        if (task.signal.aborted) throw reason; // otherwise the deadline ended the pause: the next look says so
      });
    }
  }
}
