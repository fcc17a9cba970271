import { OperationFailedError } from '../../../protocol/errors.ts';
import { runProgram } from '../../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../../capture/child-environment.ts';
import { findMount, unmount } from '../../capture/mounts.ts';
import type { Region } from '../../disk-layout/disk-reader.ts';

const MOUNT_TIMEOUT_MS = 5 * 60_000; // a journal may have to be replayed
const UNMOUNT_TIMEOUT_MS = 5 * 60_000; // and everything written back

const SYNC_TIMEOUT_MS = 5 * 60_000;

/** An image may ask its kernel to panic when its ext file system is damaged: ours is not to. */
const EXT_OPTIONS = ',errors=remount-ro';
/** Further options by type. XFS refuses a second file system of one UUID, which a copy is. */
const OPTIONS: Readonly<Record<string, string>> = { ext2: EXT_OPTIONS, ext3: EXT_OPTIONS, ext4: EXT_OPTIONS, btrfs: '', xfs: ',nouuid' };

export const isMountable = (type: string): boolean => Object.hasOwn(OPTIONS, type);

export interface FileSystemPlace {
  disk: string;
  region: Region;
  type: string;
  directory: string;
}

/**
 * Mounts a file system in a region of a disk, runs `use`, and unmounts it on every path. Through a loop device, so that no
 * partition devices are needed; mount(8) makes it one that vanishes with the mount, or with mount itself.
 * @throws OperationFailedError also when the disk did not keep what `use` has written: unmounting would not tell.
 */
export async function withFileSystem({ disk, region, type, directory }: FileSystemPlace, signal: AbortSignal, use: () => Promise<void>): Promise<void> {
  const options = `loop,offset=${region.startBytes},sizelimit=${region.sizeBytes},nosuid,nodev,noexec${OPTIONS[type] ?? ''}`;
  try {
    await runProgram('mount', ['-t', type, '-o', options, disk, directory], { timeoutMs: MOUNT_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
    await use();
    await ensureKept(directory, signal);
  } finally {
    await unmount(directory, { timeoutMs: UNMOUNT_TIMEOUT_MS });
  }
}

/** syncfs(2) by sync(1); it does nothing, and succeeds, for a file system that an error has made read-only meanwhile. */
async function ensureKept(directory: string, signal: AbortSignal): Promise<void> {
  await runProgram('sync', ['--file-system', directory], { timeoutMs: SYNC_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
  if (findMount(directory)?.options.includes('ro') ?? true) throw new OperationFailedError(`the file system in ${directory} was made read-only by an error while it was changed: expected it to be writable to the end`, { directory });
}
