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

  async #run(args: readonly string[], signal: AbortSignal): Promise<string> {
    return (await runProgram('efibootmgr', args, { timeoutMs: TIMEOUT_MS, signal, env: this.#env })).stdout;
  }
}

/** Numbers of the entries with this label: lines `Boot0001* label`, from version 18 on with a tab and the device path behind. */
export function findEntries(listed: string, label: string): string[] {
  return [...listed.matchAll(/^Boot([0-9A-F]{4})[* ] ([^\t\n]*)/gm)].filter(([, , found]) => found!.trim() === label).map(([, number]) => number!);
}
