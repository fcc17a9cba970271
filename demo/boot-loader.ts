import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';
import type { Extent } from './disk.ts';

const MIB = 1024 ** 2;
const SECTOR_BYTES = 512;
const BOOT_CODE_BYTES = 440;
const GRUB_DIRECTORY = '/usr/lib/grub';
const PROGRAM_TIMEOUT_MS = 120_000;
/** What GRUB needs to read its configuration from the ext4 partition and to do what stands there. */
const MODULES = ['part_gpt', 'ext2', 'normal', 'serial', 'terminal', 'echo', 'test', 'hashsum', 'gcry_sha256', 'linux', 'boot'];
/** Of boot.img: where the sector of GRUB's core image stands (GRUB's boot.S, `kernel_sector`). */
const CORE_SECTOR_OFFSET = 0x5c;
/** Of the core image's first sector: where the rest of it stands (GRUB's diskboot.S, the last block list). */
const REST_SECTOR_OFFSET = 0x1f4;

/** A disk with a BIOS boot partition in its second MiB, as buildDisk makes it. */
export interface LoaderOptions {
  disk: string;
  efiPartition: Extent;
  /** Where temporary files go. */
  workDirectory: string;
  signal?: AbortSignal;
}

/** Installs GRUB for BIOS and for UEFI; both read `/boot/grub/grub.cfg` of the second partition. @throws OperationFailedError of GRUB's tools. */
export async function installBootLoaders({ disk, efiPartition, workDirectory, signal }: LoaderOptions): Promise<void> {
  const work = await mkdtemp(join(workDirectory, 'boot-loader-'));
  const run = (command: string, args: string[]): Promise<unknown> => runProgram(command, args, { timeoutMs: PROGRAM_TIMEOUT_MS, signal, env: { PATH: SYSTEM_PATH, LC_ALL: 'C' } });
  const makeImage = async (format: string, modules: readonly string[]): Promise<string> => {
    const image = join(work, format);
    await run('grub-mkimage', ['--directory', join(GRUB_DIRECTORY, format), '--format', format, '--output', image, '--prefix', '(,gpt2)/boot/grub', ...modules, ...MODULES]);
    return image;
  };
  try {
    await writeBiosLoader(disk, await readFile(await makeImage('i386-pc', ['biosdisk'])));
    const efiImage = join(work, 'efi-partition');
    await writeFile(efiImage, '');
    await truncate(efiImage, efiPartition.sizeBytes);
    await run('mkfs.vfat', ['-n', 'EFI', efiImage]);
    await run('mmd', ['-i', efiImage, '::/EFI', '::/EFI/BOOT']);
    await run('mcopy', ['-i', efiImage, await makeImage('x86_64-efi', []), '::/EFI/BOOT/BOOTX64.EFI']);
    await copyInto(disk, efiPartition.offsetBytes, efiImage);
  } finally {
    await rm(work, { recursive: true });
  }
}

/** Writes GRUB's boot record, and this core image of it into the BIOS boot partition of a disk as buildDisk makes it. @throws OperationFailedError when the core image is larger than that. */
export async function writeBiosLoader(disk: string, core: Buffer): Promise<void> {
  if (core.length > MIB) throw new OperationFailedError(`GRUB's core image has ${core.length} bytes, its partition ${MIB}`);
  const boot = await readFile(join(GRUB_DIRECTORY, 'i386-pc/boot.img'));
  boot.writeBigUInt64LE(BigInt(MIB / SECTOR_BYTES), CORE_SECTOR_OFFSET);
  core.writeBigUInt64LE(BigInt(MIB / SECTOR_BYTES + 1), REST_SECTOR_OFFSET);
  const file = await open(disk, 'r+');
  try {
    await file.write(boot, 0, BOOT_CODE_BYTES, 0); // the partition table and the signature behind it stay
    await file.write(core, 0, core.length, MIB);
  } finally {
    await file.close();
  }
}

/** Copies a file into a sparse one, which stays sparse. */
async function copyInto(target: string, offsetBytes: number, source: string): Promise<void> {
  const content = await readFile(source);
  const file = await open(target, 'r+');
  try {
    for (let at = 0; at < content.length; at += MIB) {
      const piece = content.subarray(at, at + MIB);
      if (piece.some((byte) => byte !== 0)) await file.write(piece, 0, piece.length, offsetBytes + at);
    }
  } finally {
    await file.close();
  }
}
