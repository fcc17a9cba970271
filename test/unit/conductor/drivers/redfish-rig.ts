import { createRedfishManagement } from '../../../../conductor/drivers/management/redfish.ts';
import { createRedfishPower } from '../../../../conductor/drivers/power/redfish.ts';
import type { DriverTask, ManagementDriver, PowerDriver } from '../../../../conductor/drivers/interfaces.ts';
import { createRedfishSystems, type RedfishOptions } from '../../../../conductor/drivers/redfish-systems.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { RedfishDouble, type DoubleOptions } from '../../../contract/power/redfish-double.ts';

const FAST: Partial<RedfishOptions> = { requestTimeoutMs: 5_000, attempts: 4, retryPauseMs: 5, maxRetryPauseMs: 20, firstPollMs: 5, maxPollMs: 20, taskTimeoutMs: 10_000, settleMs: 10_000, sessionIdleMs: 60_000 };
/** For what has to succeed. */
export const ENOUGH_MS = 10_000;
export const SYSTEM = /^\/redfish\/v1\/Systems\/1$/;
export const RESET = /ComputerSystem\.Reset$/;

/** The drivers in front of a BMC of their own. */
export interface RedfishRig {
  bmc: RedfishDouble;
  power: PowerDriver;
  management: ManagementDriver;
  task: DriverTask;
  /** Ends the sessions; what a conductor does when it stops. */
  close(): Promise<void>;
}

const rigs: RedfishRig[] = [];

export async function setUpRedfish(options: DoubleOptions = {}, more: Partial<RedfishOptions> = {}, driverInfo: Record<string, string | boolean> = {}, properties: DriverTask['node']['properties'] = {}): Promise<RedfishRig> {
  const bmc = await RedfishDouble.start(options);
  const systems = createRedfishSystems({ ...FAST, ...more });
  const rig = { bmc, power: createRedfishPower(systems), management: createRedfishManagement(systems), task: makeTask({ driverInfo: { ...bmc.driverInfo, ...driverInfo }, properties }), close: () => systems.close() };
  rigs.push(rig);
  return rig;
}

/** For afterEach: whatever the test has set up. */
export async function releaseRedfish(): Promise<void> {
  for (const { bmc, close } of rigs.splice(0)) {
    await close();
    await bmc.stop();
  }
}

/** The error of `work`, which has to fail. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}
