import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram } from '../protocol/program.ts';
import type { Disk } from './disk.ts';
import { compareWithDisk } from './image-comparison.ts';
import { compareListings, countFiles, listTree } from './tree-listing.ts';

const TIMEOUT_MS = 600_000;
const SHOWN_DIFFERENCES = 5;
const QEMU_IMG_IDENTICAL = 0;
const QEMU_IMG_DIFFERENT = 1;

/** The image is not the disk. */
export class NotIdenticalError extends OperationFailedError {}

/** What a proof has found. */
export interface Proof {
  files: number;
  /** Of the disk; all of it equal. */
  heldBytes: number;
  /** Of the disk's free space: what was deleted there, which images do not carry along. */
  leftOutBytes: number;
}

/**
 * Proves that a qcow2 image holds what the disk holds: the same size, every byte that it has the same, and every file with
 * its digest in the image's own file system, against the list that was made before the disk was.
 * @throws NotIdenticalError saying what differs.
 */
export async function proveCaptured(disk: Disk, image: string, workDirectory: string, signal?: AbortSignal): Promise<Proof> {
  await compareSize(disk, image, signal);
  const { differsAt, heldBytes, leftOutBytes } = await compareWithDisk(image, disk.path, signal);
  if (differsAt !== null) throw new NotIdenticalError(`The image differs from the disk at byte ${differsAt}`);
  return { files: await compareFiles(disk, image, workDirectory, signal), heldBytes, leftOutBytes };
}

/**
 * Proves that a disk reads as the image does, in every byte, zeros included (qemu-img compare), and its files again.
 * @returns the number of files. @throws NotIdenticalError saying what differs.
 */
export async function proveRestored(disk: Disk, image: string, workDirectory: string, signal?: AbortSignal): Promise<number> {
  await compareSize(disk, image, signal);
  await compareBytes(disk, image, signal);
  return compareFiles(disk, image, workDirectory, signal);
}

async function compareSize(disk: Disk, image: string, signal?: AbortSignal): Promise<void> {
  const { stdout } = await runProgram('qemu-img', ['info', '--output=json', '-f', 'qcow2', image], { timeoutMs: TIMEOUT_MS, signal });
  const { 'virtual-size': virtualSize } = z.object({ 'virtual-size': z.number() }).parse(JSON.parse(stdout));
  if (virtualSize !== disk.sizeBytes) throw new NotIdenticalError(`The disk has ${disk.sizeBytes} bytes, its image ${virtualSize}`);
}

async function compareBytes(disk: Disk, image: string, signal?: AbortSignal): Promise<void> {
  // --force-share: a virtual server that runs holds a lock on its disk (and writes nothing there)
  const { exitCode, stdout } = await runProgram('qemu-img', ['compare', '--force-share', '-f', 'raw', '-F', 'qcow2', disk.path, image], { timeoutMs: TIMEOUT_MS, signal, acceptedExitCodes: [QEMU_IMG_IDENTICAL, QEMU_IMG_DIFFERENT] });
  if (exitCode === QEMU_IMG_DIFFERENT) throw new NotIdenticalError(`The image differs from the disk: ${stdout.trim()}`);
}

/** Reads the files through the kernel's own ext4, as the server that gets this image will. */
export async function compareFiles(disk: Pick<Disk, 'fileSystem' | 'content'>, image: string, workDirectory: string, signal?: AbortSignal): Promise<number> {
  const raw = join(workDirectory, 'image.raw');
  const directory = join(workDirectory, 'image-root');
  try {
    await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw], { timeoutMs: TIMEOUT_MS, signal });
    await mkdir(directory);
    const found = await listTree({ directory, workDirectory, mounted: { image: raw, ...disk.fileSystem }, signal });
    const differences = compareListings(disk.content, found);
    if (differences.length > 0) {
      throw new NotIdenticalError(`${differences.length} of ${disk.content.size} entries differ between disk and image: ${differences.slice(0, SHOWN_DIFFERENCES).join('; ')}${differences.length > SHOWN_DIFFERENCES ? '; …' : ''}`);
    }
    return countFiles(found);
  } finally {
    await rm(raw, { force: true });
    await rm(directory, { recursive: true, force: true });
  }
}
