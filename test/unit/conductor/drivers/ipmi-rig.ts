import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIpmiBmcs, type IpmiBmcs, type IpmiOptions } from '../../../../conductor/drivers/ipmi-bmcs.ts';
import type { DriverTask, ManagementDriver, PowerDriver } from '../../../../conductor/drivers/interfaces.ts';
import { createIpmitoolManagement } from '../../../../conductor/drivers/management/ipmitool.ts';
import { createIpmitoolPower } from '../../../../conductor/drivers/power/ipmitool.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { IpmiDouble, type IpmiDoubleOptions } from '../../../contract/power/ipmi-double.ts';

const FAST: Partial<IpmiOptions> = { commandRetryTimeoutMs: 10_000, minCommandIntervalMs: 0, retryPauseMs: 5, maxRetryPauseMs: 20, firstPollMs: 5, maxPollMs: 20 };
/** For what has to succeed. */
export const ENOUGH_MS = 20_000;

export interface IpmiDrivers {
  bmcs: IpmiBmcs;
  power: PowerDriver;
  management: ManagementDriver;
  task: DriverTask;
  /** The arguments of every run of ipmitool so far. */
  runs(): Promise<string[]>;
}
export interface IpmiRig extends IpmiDrivers {
  bmc: IpmiDouble;
}

const releases: (() => Promise<void>)[] = [];

/** The drivers in front of whatever answers there, by the real ipmitool, whose arguments are noted. */
export async function setUpIpmiDrivers(driverInfo: DriverTask['node']['driverInfo'], more: Partial<IpmiOptions> = {}, properties: DriverTask['node']['properties'] = {}): Promise<IpmiDrivers> {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-ipmitool-'));
  releases.push(() => rm(directory, { recursive: true }));
  const program = join(directory, 'ipmitool');
  const notes = join(directory, 'runs');
  await writeFile(notes, '');
  await writeFile(program, `#!/bin/sh\nprintf '%s\\n' "$*" >>'${notes}'\nexec ipmitool "$@"\n`);
  await chmod(program, 0o700);
  const bmcs = createIpmiBmcs({ ...FAST, program, ...more });
  const runs = async (): Promise<string[]> => (await readFile(notes, 'utf8')).split('\n').filter((line) => line !== '');
  return { bmcs, power: createIpmitoolPower(bmcs), management: createIpmitoolManagement(bmcs), task: makeTask({ driver: 'ipmi', driverInfo, properties }), runs };
}

/** The same in front of a BMC of their own. */
export async function setUpIpmi(options: IpmiDoubleOptions = {}, more: Partial<IpmiOptions> = {}, properties: DriverTask['node']['properties'] = {}): Promise<IpmiRig> {
  const bmc = await IpmiDouble.start(options);
  releases.push(() => bmc.stop());
  return { bmc, ...(await setUpIpmiDrivers(bmc.driverInfo, more, properties)) };
}

export const releaseLater = (release: () => Promise<void>): void => void releases.push(release);

/** For afterEach: whatever the test has set up. */
export async function releaseIpmi(): Promise<void> {
  for (const release of releases.splice(0)) await release();
}
