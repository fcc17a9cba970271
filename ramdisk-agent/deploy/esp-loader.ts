import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { Region } from '../disk-layout/disk-reader.ts';

const TIMEOUT_MS = 60_000;
const MDIR_NOTHING_FOUND = 1;

/** Names of machine types in the file names of boot loaders (UEFI 2.10, 3.5.1.1). */
const MACHINE_TYPES: Readonly<Record<string, string>> = { x64: 'x64', arm64: 'aa64', riscv64: 'riscv64' };

export interface EspLoaders {
  /** What the boot entry should name, in the form of firmware (\EFI\…); null when there is nothing to boot. */
  preferred: string | null;
  /** Whether firmware finds a loader without any boot entry (\EFI\BOOT\BOOTX64.EFI). */
  hasFallback: boolean;
}

/** The boot loaders in an EFI system partition, read by mtools: the kernel needs no FAT for that. @throws OperationFailedError when it cannot be read. */
export async function findLoaders(disk: string, partition: Region, signal: AbortSignal): Promise<EspLoaders> {
  const args = ['-/', '-b', '-i', `${disk}@@${partition.startBytes}`, '::/EFI'];
  const reply = await runProgram('mdir', args, { timeoutMs: TIMEOUT_MS, signal, env: { ...CHILD_ENVIRONMENT, MTOOLSRC: '/dev/null' }, acceptedExitCodes: [0, MDIR_NOTHING_FOUND] });
  if (reply.exitCode !== 0 && !/not found|No such/i.test(reply.stderr)) throw new OperationFailedError(`the EFI system partition (${partition.name} of ${disk}) cannot be read: ${reply.stderr.trim()}`, { disk });
  return chooseLoaders(reply.stdout.split('\n'));
}

/** @param listed lines of `mdir -/ -b`: ::/EFI/debian/shimx64.efi, and ::/EFI/debian/ for directories. */
export function chooseLoaders(listed: readonly string[], architecture: string = process.arch): EspLoaders {
  const machine = MACHINE_TYPES[architecture] ?? architecture;
  const files = listed.map((line) => line.trim()).filter((line) => line.startsWith('::/') && !line.endsWith('/')).map((line) => line.slice(2)).toSorted();
  const find = (pattern: string): string | undefined => files.find((file) => new RegExp(`^${pattern}$`, 'i').test(file));
  const fallback = find(`/EFI/BOOT/BOOT${machine}\\.EFI`);
  const vendors = ['shim', 'grub', 'systemd-boot'].map((loader) => find(`/EFI/(?!BOOT/)[^/]+/${loader}${machine}\\.efi`));
  const preferred = [...vendors, fallback].find((file) => file !== undefined);
  return { preferred: preferred?.replaceAll('/', '\\') ?? null, hasFallback: fallback !== undefined };
}
