import { open, type FileHandle } from 'node:fs/promises';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { Extent } from '../qcow2/extents.ts';

const TIMEOUT_MS = 30_000;

/**
 * Shows a range of a disk as a read-only loop device of its own to `use`: most programs know no offset, and the kernel's
 * partitions need not be those of the table. It is marked for detaching before it is used, so that the kernel takes it away
 * when `use` ends, and also when this process is killed. @throws OperationFailedError when there is none to be had.
 */
export async function withLoopDevice<T>(path: string, { offsetBytes, sizeBytes }: Extent, use: (loopDevice: string) => Promise<T>): Promise<T> {
  // no abort signal: losetup, killed between attaching and naming the device, would leave one that nobody knows
  const { stdout } = await runLosetup(['--find', '--show', '--read-only', '--offset', String(offsetBytes), '--sizelimit', String(sizeBytes), path]);
  const device = stdout.trim();
  if (!/^\/dev\/loop\d+$/.test(device)) throw new OperationFailedError(`losetup was expected to name a loop device, it said ${JSON.stringify(device)}`, { path });
  let holder: FileHandle | undefined;
  try {
    try {
      holder = await open(device, 'r');
    } finally {
      await runLosetup(['--detach', device]); // comes true when the last who has it open closes it (losetup(8), "lazy device destruction")
    }
    return await use(device);
  } finally {
    await holder?.close();
  }
}

const runLosetup = (args: string[]) => runProgram('losetup', args, { timeoutMs: TIMEOUT_MS, env: CHILD_ENVIRONMENT });
