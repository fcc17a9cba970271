import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { until } from '../rig/until.ts';
import { ConductorDouble } from '../unit/ramdisk-agent/conductor-double.ts';
import { RamdiskMachine } from './ramdisk-machine.ts';

const NONCE = 'nonce-of-the-first-boot-Zm9vYmFy';
/** An agent that starts on a slow machine may not come to feeding for a while. */
const WATCHDOG_TIMEOUT_S = 30;
const FOR_EVER = Array<number>(10_000);

let conductor: ConductorDouble;
let machine: RamdiskMachine | undefined;
beforeEach(async () => {
  conductor = await ConductorDouble.start();
});
afterEach(async () => {
  await machine?.close();
  machine = undefined;
  await conductor.close();
});

/** A machine whose agent is at work: looked up, heard by its conductor. */
async function start(settings: Record<string, number> = {}): Promise<RamdiskMachine> {
  machine = await RamdiskMachine.start({ conductorPort: Number(new URL(conductor.url).port), nonce: NONCE, settings });
  await machine.shows(/watchdog is fed/);
  await until('a heartbeat', () => conductor.heartbeats.length > 0, STEP_TIMEOUT_MS);
  return machine;
}

describe('a machine in the ramdisk boots again', () => {
  test('when the agent hangs: nobody feeds the watchdog', async () => {
    const machine = await start({ watchdog_timeout_s: WATCHDOG_TIMEOUT_S });
    machine.type('grep . /sys/class/watchdog/watchdog0/timeout | sed s/^/timeout:/; kill -STOP $(cat /run/metalshot/agent.pid)');
    await machine.shows(new RegExp(`^timeout:${WATCHDOG_TIMEOUT_S}\\r?$`, 'm'));
    await machine.shows(/Linux version/, 2);
    await machine.shows(/watchdog is fed/, 2);
  }, 4 * STEP_TIMEOUT_MS);

  test('not when the agent dies: the next one feeds the watchdog, and needs no lookup', async () => {
    const machine = await start({ watchdog_timeout_s: WATCHDOG_TIMEOUT_S });
    const heartbeats = conductor.heartbeats.length;
    machine.type('kill -KILL $(cat /run/metalshot/agent.pid)');
    await machine.shows(/going on with its registration/);
    await until('a heartbeat of the next agent', () => conductor.heartbeats.length > heartbeats, STEP_TIMEOUT_MS);
    machine.type(`sleep ${1.5 * WATCHDOG_TIMEOUT_S}; echo still $((40 + 2))`);
    await machine.shows(/still 42/);
    expect(machine.text(2)).toBe('');
    expect(conductor.lookups).toMatchObject([{ bootNonce: NONCE }]);
  }, 4 * STEP_TIMEOUT_MS);

  test('when its kernel panics', async () => {
    const machine = await start();
    machine.type('echo c > /proc/sysrq-trigger');
    await machine.shows(/Rebooting in 10 seconds/);
    await machine.shows(/Linux version/, 2);
  }, 4 * STEP_TIMEOUT_MS);

  test('when the conductor falls silent, and says why on its console', async () => {
    const machine = await start({ conductor_silence_timeout_s: 20 });
    conductor.heartbeatFailures.push(...FOR_EVER.fill(503));
    await machine.shows(/boots the machine from its own disk: the conductor has taken no lookup or heartbeat for 20 s/);
    await machine.shows(/Linux version/, 2);
  }, 4 * STEP_TIMEOUT_MS);
});
