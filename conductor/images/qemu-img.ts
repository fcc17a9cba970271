/** qemu-img on files that strangers made: every run has a format given by us, a deadline, and limits of memory, CPU and file size. */
import { z } from 'zod';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../../protocol/errors.ts';
import { runProgram, SYSTEM_PATH, type ProgramResult } from '../../protocol/program.ts';
import type { ImageFormat } from './declared-format.ts';

const MIB = 1024 ** 2;
/** OpenStack's values for looking at an image. */
const LOOK_LIMITS: Limits = { addressSpaceBytes: 1024 * MIB, cpuSeconds: 30, fileSizeBytes: 0 };
const LOOK_TIMEOUT_MS = 60_000;
/** Checking and mapping walk all tables: minutes for terabytes. */
const WALK_LIMITS: Limits = { addressSpaceBytes: 2048 * MIB, cpuSeconds: 1800, fileSizeBytes: 0 };
const CONVERT_ADDRESS_SPACE_BYTES = 2048 * MIB;
/** Of qemu-img check: sound; leaked clusters only. Corruptions (2) are read from its report. */
const CHECKED_EXIT_CODES = [0, 2, 3];
const NOT_FOUND_EXIT_CODE = 127;

/** A line of qemu-img's map. */
const mapRangeSchema = z.object({ start: z.number(), length: z.number(), data: z.boolean(), zero: z.boolean() });

interface Limits {
  addressSpaceBytes: number;
  /** Absent: only the deadline ends it. */
  cpuSeconds?: number;
  /** Bytes of a file that it writes. */
  fileSizeBytes: number;
}

export interface RunOptions {
  timeoutMs: number;
  signal: AbortSignal;
}

export interface ImageInfo {
  format: string;
  virtualSizeBytes: number;
  /** Of other files or keys that it needs, or that it is broken; null when it is none of these. */
  problem: string | null;
}

/** @param format null: qemu-img's own probe decides. @throws InvalidParameterError when it cannot be read as such. */
export async function readInfo(path: string, format: ImageFormat | null, signal: AbortSignal): Promise<ImageInfo> {
  const result = await run(['info', ...(format === null ? [] : ['-f', format]), '--output=json', path], LOOK_LIMITS, { timeoutMs: LOOK_TIMEOUT_MS, signal });
  const info = JSON.parse(result.stdout) as Record<string, unknown> & { 'format-specific'?: { data?: Record<string, unknown> } };
  const specific = info['format-specific']?.data ?? {};
  return { format: String(info['format']), virtualSizeBytes: Number(info['virtual-size']), problem: problemOf(info, specific) };
}

function problemOf(info: Record<string, unknown>, specific: Record<string, unknown>): string | null {
  if (info['backing-filename'] !== undefined || info['full-backing-filename'] !== undefined) return 'it has a backing file';
  if (specific['data-file'] !== undefined) return 'its data lie in another file (external data file)';
  if (info['encrypted'] === true || specific['encrypt'] !== undefined) return 'it is encrypted';
  if (specific['corrupt'] === true) return 'it is marked corrupt';
  return null;
}

/** A qcow2's tables lead to clusters that are there, once each: one that was cut off would read as zeros. @throws InvalidParameterError */
export async function checkTables(path: string, options: RunOptions): Promise<void> {
  const result = await run(['check', '-f', 'qcow2', '--output=json', path], WALK_LIMITS, options, { acceptedExitCodes: CHECKED_EXIT_CODES });
  const report = JSON.parse(result.stdout) as { corruptions?: number; 'check-errors'?: number };
  if ((report.corruptions ?? 0) + (report['check-errors'] ?? 0) === 0) return;
  const firstComplaint = result.stderr.trim().split('\n')[0]?.slice(0, 200) ?? '';
  throw new InvalidParameterError(`qemu-img check finds ${report.corruptions ?? 0} corruptions and ${report['check-errors'] ?? 0} errors in it, so it is cut off or damaged${firstComplaint === '' ? '' : `: ${firstComplaint}`}`, { ...report });
}

/** Calls back with every range of the disk that holds data, in ascending order. */
export async function mapData(path: string, format: ImageFormat, options: RunOptions, onData: (offsetBytes: number, lengthBytes: number) => void): Promise<void> {
  let rest = '';
  let problem: unknown;
  const take = (line: string): void => {
    const text = line.trim().replace(/^\[/, '').replace(/[,\]]$/, '');
    if (text === '' || problem !== undefined) return;
    try {
      const range = mapRangeSchema.parse(JSON.parse(text));
      if (range.data && !range.zero) onData(range.start, range.length);
    } catch (error) {
      problem = error; // thrown below: here it would be thrown into the program's output event
    }
  };
  // Line by line: the map of a large disk is longer than what runProgram keeps.
  await run(['map', '-f', format, '--output=json', path], WALK_LIMITS, options, {
    onOutput: (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(take);
    },
  });
  take(rest);
  if (problem !== undefined) throw new OperationFailedError(`The map that qemu-img made of ${path} cannot be read: ${messageOf(problem)}`, {}, problem);
}

/** Expands a qcow2 into a new sparse raw file of `virtualSizeBytes`; on the disk when it resolves. `onProgress` is given 0 to 1. */
export async function convertToRaw(path: string, target: string, virtualSizeBytes: number, options: RunOptions & { onProgress(share: number): void }): Promise<void> {
  // -t writeback: flushes at the end, so that an error of the disk ends it with an exit code
  await run(['convert', '-p', '-f', 'qcow2', '-O', 'raw', '-S', '4k', '-t', 'writeback', path, target], { addressSpaceBytes: CONVERT_ADDRESS_SPACE_BYTES, fileSizeBytes: virtualSizeBytes }, options, {
    onOutput: (text) => {
      const percent = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1];
      if (percent !== undefined) options.onProgress(Number(percent) / 100);
    },
  });
}

async function run(args: readonly string[], limits: Limits, { timeoutMs, signal }: RunOptions, more: { acceptedExitCodes?: readonly number[]; onOutput?: (text: string) => void } = {}): Promise<ProgramResult> {
  const cpu = limits.cpuSeconds === undefined ? [] : [`--cpu=${limits.cpuSeconds}`];
  try {
    return await runProgram('prlimit', [`--as=${limits.addressSpaceBytes}`, ...cpu, `--fsize=${limits.fileSizeBytes}`, '--core=0', '--', 'qemu-img', ...args], {
      timeoutMs,
      signal,
      // every allocation arena takes 64 MiB of the address space
      env: { PATH: SYSTEM_PATH, LC_ALL: 'C', MALLOC_ARENA_MAX: '3' },
      ...more,
    });
  } catch (error) {
    const exitCode = error instanceof MetalshotError ? error.data['exitCode'] : undefined;
    if (typeof exitCode === 'number' && exitCode !== NOT_FOUND_EXIT_CODE) throw new InvalidParameterError(`qemu-img ${args[0]} cannot read it: ${messageOf(error)}`, {}, error);
    throw error;
  }
}
