import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram, SYSTEM_PATH } from '../../protocol/program.ts';
import type { SignedLoaders } from './iso-loaders.ts';

export interface IsoContent {
  /** Open files. */
  vmlinuz: { fd: number };
  initramfs: { fd: number };
  /** The small initramfs. */
  archive: Buffer;
  commandLine: string;
  /** Null: GRUB as grub-mkrescue makes it, which no Secure Boot lets pass. */
  signedLoaders: SignedLoaders | null;
}

const BUILD_TIMEOUT_MS = 120_000;
const ARCHIVE_PATH = 'metalshot/conductor.cpio';
const EFI_IMAGE = 'efi.img';
const MIB = 1024 ** 2;

/**
 * Writes an ISO that boots kernel and initramfs with this command line, by BIOS and by UEFI.
 * @param stagingDirectory an empty one, for files of the way; the caller removes it.
 * @throws OperationFailedError with what the program said.
 */
export async function buildIso(path: string, stagingDirectory: string, content: IsoContent, signal: AbortSignal): Promise<void> {
  const root = join(stagingDirectory, 'root');
  await mkdir(join(root, 'boot/grub'), { recursive: true });
  await mkdir(join(root, 'metalshot'));
  await writeFile(join(root, 'boot/grub/grub.cfg'), grubConfig(content.commandLine), { mode: 0o600 });
  await writeFile(join(root, ARCHIVE_PATH), content.archive);
  const { signedLoaders } = content;
  if (signedLoaders) await buildEfiImage(join(root, EFI_IMAGE), signedLoaders, signal);
  const args = [
    ...(signedLoaders ? ['--directory=/usr/lib/grub/i386-pc'] : []),
    `--output=${path}`,
    root,
    // read through our open files (what this says of links): they belong together, whatever takes their names meanwhile
    '-f',
    'metalshot/vmlinuz=/proc/self/fd/3',
    'metalshot/initramfs=/proc/self/fd/4',
    ...(signedLoaders ? ['-eltorito-alt-boot', '-e', EFI_IMAGE, '-no-emul-boot'] : []),
  ];
  await runProgram('grub-mkrescue', args, { timeoutMs: BUILD_TIMEOUT_MS, signal, env: { PATH: SYSTEM_PATH, LANG: 'C.UTF-8', TMPDIR: stagingDirectory }, inheritedFiles: [content.vmlinuz.fd, content.initramfs.fd] });
}

/** What a firmware with Secure Boot starts: the shim, which its maker's key signs; it starts GRUB, and that the kernel, which Debian's key signs. */
async function buildEfiImage(path: string, loaders: SignedLoaders, signal: AbortSignal): Promise<void> {
  await writeFile(path, '');
  await truncate(path, Math.ceil(loaders.sizeBytes / MIB + 1) * MIB);
  const run = (program: string, ...args: string[]): Promise<unknown> => runProgram(program, ['-i', path, ...args], { timeoutMs: BUILD_TIMEOUT_MS, signal, env: { PATH: SYSTEM_PATH, LANG: 'C.UTF-8' } });
  await run('mformat', '::');
  await run('mmd', '::/EFI', '::/EFI/BOOT');
  await run('mcopy', loaders.shim, '::/EFI/BOOT/BOOTX64.EFI');
  await run('mcopy', loaders.grub, '::/EFI/BOOT/grubx64.efi');
}

/** What cannot be booted hands the machine back to its firmware, which goes on to the next device: its own disk. */
function grubConfig(commandLine: string): string {
  // in single quotes GRUB leaves everything as it is
  const words = commandLine.split(' ').map((word) => `'${word}'`);
  return [`if linux /metalshot/vmlinuz ${words.join(' ')}; then`, `  if initrd /metalshot/initramfs /${ARCHIVE_PATH}; then`, '    boot', '  fi', 'fi', 'exit', ''].join('\n');
}
