import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import { identifyProcess } from './capture/process-identity.ts';
import type { RunDirectory } from './run-directory.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const PID_NAMESPACE = '/proc/self/ns/pid';

/** What the agents of one boot leave for each other; to the agent of another boot it is as if nothing was there. */
export class BootMemory {
  readonly #runDirectory: RunDirectory;
  readonly #boot: string;

  constructor(runDirectory: RunDirectory, boot: string) {
    this.#runDirectory = runDirectory;
    this.#boot = boot;
  }

  /** What was written under this name in this boot, or null. */
  read<T>(name: string, schema: z.ZodType<T>): T | null {
    const text = this.#runDirectory.read(name);
    if (text === null) return null;
    const stored = z.object({ boot: z.literal(this.#boot), value: schema }).safeParse(JSON.parse(text));
    return stored.success ? stored.data.value : null;
  }

  write(name: string, value: unknown): void {
    this.#runDirectory.write(name, JSON.stringify({ boot: this.#boot, value }));
  }
}

/**
 * The same for all processes of one boot, another for each other boot. Simulated machines share a kernel, and so its boot_id:
 * they differ by their first process and by its namespace. The nonce is another for each boot that the conductor has
 * prepared, and is not found in what this returns.
 */
export function identifyBoot(nonce = ''): string {
  const first = identifyProcess(1);
  if (!first) throw new OperationFailedError('expected the start of process 1 in /proc/1/stat, found none: is /proc mounted?');
  return createHash('sha256').update([readFileSync(BOOT_ID, 'utf8').trim(), readlinkSync(PID_NAMESPACE), first.startTicks, nonce].join('\n')).digest('hex');
}
