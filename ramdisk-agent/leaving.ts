import type { Logger } from '../protocol/log.ts';
import type { BootMemory } from './boot-memory.ts';
import type { CommandQueue } from './commands/command-queue.ts';
import { DeadMan } from './dead-man.ts';
import type { Machine } from './machine.ts';
import { bounded } from './reboot.ts';
import type { Watchdog } from './watchdog.ts';

/** How long a running command may take to let go before the machine is booted away from under it. */
const STOP_TIMEOUT_MS = 10_000;
/** A machine that is still there so long after it was to boot is left to the watchdog. */
const REBOOT_PATIENCE_MS = 30_000;

export interface LeavingParts {
  machine: Machine;
  memory: BootMemory;
  log: Logger;
  /** Null as long as none is open. */
  watchdog(): Watchdog | null;
  /** Undefined as long as there is none. */
  queue(): CommandQueue | undefined;
}

/**
 * Starts the dead-man timer: from now on the machine leaves the ramdisk when nobody is left to see to that, with the running
 * command stopped where that is possible. Null for a machine that has none.
 */
export function armDeadMan({ machine, memory, log, watchdog, queue }: LeavingParts): DeadMan | null {
  if (!machine.deadMan) return null;
  const { limits, reboot } = machine.deadMan;
  const leave = async (reason: string): Promise<void> => {
    log.fatal({ reason }, 'the machine is booted from its own disk');
    watchdog()?.abandonIn(REBOOT_PATIENCE_MS);
    await bounded(log, 'stopping the command', STOP_TIMEOUT_MS, async () => queue()?.stopAll(`the machine is booted from its own disk: ${reason}`));
    await reboot(reason);
    log.fatal({ reason }, 'the machine is still here: it could not be booted');
  };
  const onDead = (reason: string): void => void leave(reason).catch((error: unknown) => log.fatal({ err: error }, 'the machine could not be booted'));
  const deadMan = new DeadMan({ limits, memory, log, command: () => queue()?.underWay ?? null, onDead });
  deadMan.start();
  return deadMan;
}
