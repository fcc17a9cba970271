import type { BootOrder } from '../../protocol/agent-api.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';

const TIMEOUT_MS = 60_000;

export interface BootEntry {
  /** Device of the disk, and the number of its EFI system partition. */
  disk: string;
  partitionNumber: number;
  /** As firmware writes paths: \EFI\debian\shimx64.efi */
  loader: string;
  label: string;
}

/** The boot entries in a machine's firmware. */
export interface BootEntries {
  /** Puts the entry first in the boot order; older ones of the same label are removed. @throws OperationFailedError */
  replace(entry: BootEntry, signal: AbortSignal): Promise<void>;
  /** @throws OperationFailedError */
  readOrder(): Promise<BootOrder>;
  /** Null: the variable is removed. @throws OperationFailedError */
  setBootOrder(numbers: readonly string[] | null): Promise<void>;
  /** Null: the variable is removed. @throws OperationFailedError */
  setBootNext(number: string | null): Promise<void>;
}

/** By efibootmgr(8), which needs efivarfs. It changes the machine that it runs on: for the ramdisk only. */
export class EfiBootManager implements BootEntries {
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: NodeJS.ProcessEnv = CHILD_ENVIRONMENT) {
    this.#env = env;
  }

  async replace({ disk, partitionNumber, loader, label }: BootEntry, signal: AbortSignal): Promise<void> {
    const listed = await this.#run([], signal);
    for (const number of findEntries(listed, label)) await this.#run(['--quiet', '--bootnum', number, '--delete-bootnum'], signal);
    await this.#run(['--quiet', '--create', '--disk', disk, '--part', String(partitionNumber), '--loader', loader, '--label', label], signal);
  }

  async readOrder(): Promise<BootOrder> {
    return parseBootOrder(await this.#run([]));
  }

  async setBootOrder(numbers: readonly string[] | null): Promise<void> {
    await this.#run(['--quiet', ...(numbers === null || numbers.length === 0 ? ['--delete-bootorder'] : ['--bootorder', numbers.join(',')])]);
  }

  async setBootNext(number: string | null): Promise<void> {
    await this.#run(['--quiet', ...(number === null ? ['--delete-bootnext'] : ['--bootnext', number])]);
  }

  async #run(args: readonly string[], signal?: AbortSignal): Promise<string> {
    return (await runProgram('efibootmgr', args, { timeoutMs: TIMEOUT_MS, signal, env: this.#env })).stdout;
  }
}

/** Numbers of the entries with this label: lines `Boot0001* label`, from version 18 on with a tab and the device path behind. */
export function findEntries(listed: string, label: string): string[] {
  return [...listed.matchAll(/^Boot([0-9A-F]{4})[* ] ([^\t\n]*)/gm)].filter(([, , found]) => found!.trim() === label).map(([, number]) => number!);
}

/** Lines `BootOrder: 0001,0000` and `BootNext: 0003` of what efibootmgr lists; neither line is there without its variable. */
export function parseBootOrder(listed: string): BootOrder {
  const order = /^BootOrder: ?([0-9A-F,]*)$/m.exec(listed)?.[1];
  return { boot_order: order === undefined ? null : order.split(',').filter((number) => number !== ''), boot_next: /^BootNext: ([0-9A-F]{4})$/m.exec(listed)?.[1] ?? null };
}
