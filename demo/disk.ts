import { mkdir, open, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';
import { writeBootRecord } from './boot-record.ts';
import { fillDirectory, writePseudoRandom } from './disk-content.ts';
import { listTree, type TreeListing } from './tree-listing.ts';

const MIB = 1024 ** 2;
const SECTOR_BYTES = 512;
const PROGRAM_TIMEOUT_MS = 300_000;
const BIOS_BOOT_TYPE = '21686148-6449-6E6F-744E-656564454649';
const LINUX_TYPE = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
const EFI_SYSTEM_TYPE = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';
const GARBAGE_BYTES = 48 * MIB;

/** A multiple of 1 MiB each. */
export interface Extent {
  offsetBytes: number;
  sizeBytes: number;
}

export interface Disk {
  path: string;
  sizeBytes: number;
  /** The ext4 file system on it. */
  fileSystem: Extent;
  /** Where a partition for EFI boot loaders is, empty; null: there is none. */
  efiPartition?: Extent | null;
  /** Every file that was put on it, with digest, owner and mode. */
  content: TreeListing;
}

export interface DiskOptions {
  /** A multiple of 1 MiB. */
  sizeBytes: number;
  /** Part of the demo's content; see fillDirectory. */
  share?: number;
  /** Files besides, by path. */
  files?: Readonly<Record<string, string | Uint8Array>>;
  /** Size of a partition for EFI boot loaders behind the file system, a multiple of 1 MiB; 0: none. */
  efiPartitionBytes?: number;
  signal?: AbortSignal;
}

/**
 * Makes a server's disk as a sparse file in `directory`: GPT with a BIOS boot partition and an ext4 file system full of
 * files, boot code in sector 0, and blocks of a deleted file. Nothing is mounted and no device is used.
 * @throws OperationFailedError of the tools.
 */
export async function buildDisk(directory: string, { sizeBytes, share = 1, files = {}, efiPartitionBytes = 0, signal }: DiskOptions): Promise<Disk> {
  const path = join(directory, 'disk.img');
  const source = join(directory, 'content');
  const fileSystem = { offsetBytes: 2 * MIB, sizeBytes: sizeBytes - 3 * MIB - efiPartitionBytes };
  const efiPartition = efiPartitionBytes === 0 ? null : { offsetBytes: sizeBytes - MIB - efiPartitionBytes, sizeBytes: efiPartitionBytes };
  const run = (command: string, args: string[], input?: string): Promise<unknown> => runProgram(command, args, { timeoutMs: PROGRAM_TIMEOUT_MS, signal, input, env: { PATH: SYSTEM_PATH, LC_ALL: 'C', MKE2FS_SKIP_PROGRESS: '1' } });

  await mkdir(source);
  await fillDirectory(source, { share, signal });
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(source, name)), { recursive: true });
    await writeFile(join(source, name), text);
  }
  const content = await listTree({ directory: source, workDirectory: directory, signal });
  await writePseudoRandom(join(source, 'deleted-garbage'), GARBAGE_BYTES * share, 'garbage', signal);

  await writeFile(path, '');
  await truncate(path, sizeBytes);
  await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], partitionTable(fileSystem, efiPartition));
  await writeBootRecord(path);
  await writeBootPartition(path);
  // The file system is made of the directory by mke2fs itself, into the partition's place within the file.
  await run('mkfs.ext4', ['-q', '-F', '-L', 'metalshot-demo', '-E', `offset=${fileSystem.offsetBytes}`, '-d', source, path, `${fileSystem.sizeBytes / 1024}k`]);
  await run('debugfs', ['-w', '-R', 'rm /deleted-garbage', `${path}?offset=${fileSystem.offsetBytes}`]);
  await rm(source, { recursive: true });
  return { path, sizeBytes, fileSystem, efiPartition, content };
}

/** sfdisk(8), input format: the BIOS boot partition in the second MiB, ext4 behind it, a MiB left for the backup table. */
function partitionTable(fileSystem: Extent, efiPartition: Extent | null): string {
  const line = ({ offsetBytes, sizeBytes }: Extent, type: string, name: string): string => `start=${offsetBytes / SECTOR_BYTES}, size=${sizeBytes / SECTOR_BYTES}, type=${type}, name=${name}`;
  const boot = line({ offsetBytes: MIB, sizeBytes: MIB }, BIOS_BOOT_TYPE, 'boot');
  return ['label: gpt', 'unit: sectors', boot, line(fileSystem, LINUX_TYPE, 'root'), ...(efiPartition ? [line(efiPartition, EFI_SYSTEM_TYPE, 'efi')] : []), ''].join('\n');
}

/** What a boot loader's second stage would be: bytes that belong to no file. */
async function writeBootPartition(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const text = Buffer.from('Metalshot demo: bytes of the BIOS boot partition. '.repeat(400), 'latin1');
    await file.write(text, 0, text.length, MIB);
  } finally {
    await file.close();
  }
}
