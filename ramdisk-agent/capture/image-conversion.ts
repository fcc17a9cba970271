import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';
import { readProcessTraffic } from './process-identity.ts';

export interface ConversionOptions {
  device: string;
  sizeBytes: number;
  target: string;
  timeoutMs: number;
  signal: AbortSignal;
  onStart(pid: number): void;
  /** Bytes of the disk that have been read; called while it moves only. */
  onProgress(bytesDone: number): void;
}

const POLL_MS = 500;

/**
 * Reads a whole disk into a sparse qcow2 with `qemu-img convert`. The disk is opened read-only and past the page cache
 * (`-T none`: a disk that is read once must not push the image out of memory). `-t writeback` makes it flush at the end,
 * so that an error of the target ends it with an exit code.
 * @throws OperationFailedError of qemu-img, with what it said.
 */
export async function convertDisk(options: ConversionOptions): Promise<void> {
  const { device, sizeBytes, target, timeoutMs, signal } = options;
  let percent = 0;
  let pid: number | undefined;
  let lastSeen = '';
  // qemu-img prints its progress once a percent; what it has read in between shows that it has not stalled.
  const look = (): void => {
    const traffic = pid === undefined ? null : readProcessTraffic(pid);
    const seen = `${percent} ${traffic?.readBytes} ${traffic?.writtenBytes}`;
    if (traffic === null || seen === lastSeen) return;
    lastSeen = seen;
    const atLeast = (percent / 100) * sizeBytes;
    const atMost = (Math.min(100, percent + 1) / 100) * sizeBytes;
    options.onProgress(Math.floor(Math.min(Math.max(traffic.readBytes, atLeast), atMost)));
  };
  const timer = setInterval(look, POLL_MS);
  try {
    await runProgram('qemu-img', ['convert', '-p', '-f', 'raw', '-T', 'none', '-O', 'qcow2', '-t', 'writeback', device, target], {
      timeoutMs,
      signal,
      env: CHILD_ENVIRONMENT,
      onStart: (started) => {
        pid = started;
        options.onStart(started);
      },
      onOutput: (text) => {
        const latest = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1];
        if (latest !== undefined) percent = Number(latest);
      },
    });
  } finally {
    clearInterval(timer);
  }
}
