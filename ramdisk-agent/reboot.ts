import { writeFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { runProgram } from '../protocol/program.ts';
import { ramdiskConfigSchema } from '../protocol/ramdisk-boot.ts';
import { CHILD_ENVIRONMENT } from './capture/child-environment.ts';
import { ensureRamdisk, isRamdisk } from './devices/ramdisk-devices.ts';

const SYNC_TIMEOUT_MS = 10_000;
const REBOOT_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 30_000;
/** Goes to the console at once and never waits for it, as a write to a stuck serial line would (kmsg: Documentation/ABI/testing/dev-kmsg). */
const KERNEL_LOG = '/dev/kmsg';
const SYSRQ = '/proc/sysrq-trigger';

/** Boots the machine from its own disk. Resolves only when that was not possible. */
export type Reboot = (reason: string) => Promise<void>;

/**
 * The machine that we run on: sync(2), reboot(2), and, when memory is so short that no program starts, by the kernel's
 * SysRq key `b`. The boot device is the disk again since the first heartbeat, and an override was for one boot.
 */
export function rebootRamdisk(log: Logger): Reboot {
  return async (reason) => {
    ensureRamdisk();
    attempt(log, 'the kernel log', () => writeFileSync(KERNEL_LOG, `<0>metalshot-agent: boots the machine from its own disk: ${reason.slice(0, 800)}\n`));
    await bounded(log, 'sync', SYNC_TIMEOUT_MS, () => runProgram('sync', [], { timeoutMs: SYNC_TIMEOUT_MS, env: CHILD_ENVIRONMENT }));
    // -n: it has been tried, and a disk that hangs would hold up this program as well
    await bounded(log, 'reboot', REBOOT_TIMEOUT_MS, () => runProgram('/sbin/reboot', ['-n', '-f'], { timeoutMs: REBOOT_TIMEOUT_MS, env: CHILD_ENVIRONMENT }));
    await sleep(1_000);
    attempt(log, SYSRQ, () => writeFileSync(SYSRQ, 'b'));
  };
}

/** A simulated machine: its own command, if it has one, and then the agent's end with `exit`. */
export function rebootSimulated(command: readonly string[] | undefined, log: Logger, exit: () => void): Reboot {
  return async () => {
    const [program, ...args] = command ?? [];
    if (program !== undefined) await bounded(log, program, COMMAND_TIMEOUT_MS, () => runProgram(program, args, { timeoutMs: COMMAND_TIMEOUT_MS, env: CHILD_ENVIRONMENT }));
    exit();
  };
}

/** Boots the machine that we run on when it has been up for longer than the conductor may be silent; outside the ramdisk it does nothing. */
export async function leaveUselessRamdisk(log: Logger, problem: string): Promise<void> {
  if (!isRamdisk() || uptime() < ramdiskConfigSchema.parse({}).conductor_silence_timeout_s) return;
  log.fatal({ problem }, 'the machine is booted from its own disk, because its agent cannot work');
  await rebootRamdisk(log)(`its agent cannot work: ${problem}`);
}

/** Waits for `work` no longer than this, whatever hangs in it: a process in an uninterruptible read cannot even be killed. */
export async function bounded(log: Logger, what: string, timeoutMs: number, work: () => Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const late = sleep(timeoutMs, 'late', { signal: patience.signal }).catch(() => undefined); // aborted once the work is done
  try {
    if ((await Promise.race([work(), late])) === 'late') log.error({ what, timeoutMs }, 'has not ended in time, going on without it');
  } catch (error) {
    log.error({ what, problem: messageOf(error) }, 'failed, going on without it'); // the machine must not stay because of it
  } finally {
    patience.abort();
  }
}

function attempt(log: Logger, what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    log.error({ what, problem: messageOf(error) }, 'failed, going on without it'); // the machine must not stay because of it
  }
}
