import { constants } from 'node:fs';
import { open, readFile, realpath, stat, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { InvalidParameterError, OperationFailedError } from '../protocol/errors.ts';
import { runProgram } from '../protocol/program.ts';

const LOSETUP_TIMEOUT_MS = 10_000;
const RELEASE_TIMEOUT_MS = 10_000;

/**
 * One of our own image files as a block device. The kernel detaches the loop device when its last user closes it, and we
 * hold it open for as long as it is needed: even after a SIGKILL of the simulator none is left.
 */
export class LoopDevice {
  readonly path: string;
  readonly #file: string;
  readonly #hold: FileHandle;

  private constructor(path: string, file: string, hold: FileHandle) {
    this.path = path;
    this.#file = file;
    this.#hold = hold;
  }

  /** @throws InvalidParameterError when `imageFile` is not a regular file; OperationFailedError of losetup. */
  static async attach(imageFile: string, sectorSizeBytes = 512): Promise<LoopDevice> {
    const file = await realpath(imageFile);
    if (!(await stat(file)).isFile()) throw new InvalidParameterError(`${imageFile} is not a regular file: a simulated machine's disk is an image file, never a device of this host`);
    // direct: a disk has no second cache behind the system's own
    const { stdout } = await runProgram('losetup', ['--find', '--show', '--direct-io=on', '--sector-size', String(sectorSizeBytes), file], { timeoutMs: LOSETUP_TIMEOUT_MS });
    const path = stdout.trim();
    // Held open before the detach below, which the kernel then puts off until the last close (loop(4), LO_FLAGS_AUTOCLEAR).
    let hold: FileHandle | undefined;
    try {
      hold = await open(path, constants.O_RDONLY);
    } finally {
      await runProgram('losetup', ['--detach', path], { timeoutMs: LOSETUP_TIMEOUT_MS });
    }
    try {
      const found = await backingFileOf(path);
      if (found !== file) throw new OperationFailedError(`${path} should be backed by ${file}, found ${found ?? 'nothing'}`);
    } catch (error) {
      await hold.close();
      throw error;
    }
    return new LoopDevice(path, file, hold);
  }

  /** Resolves once the kernel has let go of the file. @throws OperationFailedError when something still uses the device. */
  async release(): Promise<void> {
    await this.#hold.close();
    const deadline = Date.now() + RELEASE_TIMEOUT_MS;
    while ((await backingFileOf(this.path)) === this.#file) {
      if (Date.now() > deadline) throw new OperationFailedError(`${this.path} is still in use ${RELEASE_TIMEOUT_MS / 1_000} s after its machine was switched off`);
      await pause(10);
    }
  }
}

/** The file behind a loop device as the kernel names it; null when it is free. */
async function backingFileOf(device: string): Promise<string | null> {
  try {
    return (await readFile(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8')).trimEnd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null; // a free device has no such file
    throw error;
  }
}
