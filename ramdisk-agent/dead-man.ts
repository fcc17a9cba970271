import { z } from 'zod';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import type { RamdiskConfig } from '../protocol/ramdisk-boot.ts';
import type { BootMemory } from './boot-memory.ts';
import type { CommandUnderWay } from './commands/command-queue.ts';

const FILE = 'dead-man.json';
const CHECK_MS = 1_000;
/** A command whose own limits are over, or that was stopped, has this long to let go of everything. */
const COMMAND_GRACE_S = 60;

const recordSchema = z.object({ wordAtS: z.number(), idleSinceS: z.number().nullable(), registered: z.boolean() });

export interface DeadManOptions {
  limits: Pick<RamdiskConfig, 'conductor_silence_timeout_s' | 'idle_timeout_s'>;
  memory: BootMemory;
  log: Logger;
  /** The command that runs, or null. */
  command(): CommandUnderWay | null;
  /** Called once, when nobody is left who would get this machine out of the ramdisk. */
  onDead(reason: string): void;
  /** A clock that goes on over restarts of the agent and is never set. Default: that of the system's start. */
  nowS?(): number;
}

/**
 * Decides when a machine has to leave the ramdisk by itself: the conductor is silent, nothing is commanded, or a command
 * hangs beyond its own limits. Only lookups and heartbeats that were taken are words of the conductor: what a command moves
 * may be local, and a share may outlive the conductor's interest. A conductor that is restarted takes far less than the
 * limit; heartbeats come at most 0.6 of its heartbeat timeout apart, so the limit should be several of these.
 * A restarted agent goes on counting where the last one stood.
 */
export class DeadMan {
  readonly #options: DeadManOptions;
  readonly #nowS: () => number;
  #state: z.infer<typeof recordSchema>;
  #timer: NodeJS.Timeout | undefined;
  #fired = false;

  constructor(options: DeadManOptions) {
    this.#options = options;
    this.#nowS = options.nowS ?? uptimeS;
    this.#state = options.memory.read(FILE, recordSchema) ?? { wordAtS: this.#nowS(), idleSinceS: null, registered: false };
    this.#store(); // an agent that dies again and again must not begin anew each time
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), CHECK_MS);
    this.check();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The conductor has taken a lookup or a heartbeat. */
  hearConductor(): void {
    this.#state = { ...this.#state, wordAtS: this.#nowS(), registered: true };
    this.#store();
  }

  check(): void {
    if (this.#fired) return;
    const command = this.#options.command();
    this.#noteIdleness(command);
    const reason = this.#findReason(command);
    if (reason === null) return;
    this.#fired = true;
    this.stop();
    this.#options.onDead(reason);
  }

  #noteIdleness(command: CommandUnderWay | null): void {
    const { idleSinceS, registered } = this.#state;
    if ((command === null && registered) === (idleSinceS !== null)) return;
    this.#state = { ...this.#state, idleSinceS: idleSinceS === null ? this.#nowS() : null };
    this.#store();
  }

  #findReason(command: CommandUnderWay | null): string | null {
    const { conductor_silence_timeout_s: silenceS, idle_timeout_s: idleS } = this.#options.limits;
    const { wordAtS, idleSinceS } = this.#state;
    const nowS = this.#nowS();
    if (nowS - wordAtS > silenceS) return `the conductor has taken no lookup or heartbeat for ${silenceS} s`;
    if (idleSinceS !== null && nowS - idleSinceS > idleS) return `no command has been under way for ${idleS} s`;
    const overForS = (command?.overForMs ?? 0) / 1_000;
    return command && overForS > COMMAND_GRACE_S ? `${command.name} has not ended ${COMMAND_GRACE_S} s after its own limits were over, or after it was stopped` : null;
  }

  #store(): void {
    try {
      this.#options.memory.write(FILE, this.#state);
    } catch (error) {
      // no room, for example: this agent still counts, only the next one would begin anew
      this.#options.log.warn({ problem: messageOf(error) }, 'how long the conductor has been silent cannot be stored');
    }
  }
}

/** Seconds since the system's start, by the clock that is never set (CLOCK_MONOTONIC, clock_gettime(2)): the same for all its processes. */
const uptimeS = (): number => Number(process.hrtime.bigint() / 1_000_000n) / 1_000;
