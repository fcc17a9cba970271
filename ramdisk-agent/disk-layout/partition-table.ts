import { z } from 'zod';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { Region } from './disk-reader.ts';

const TIMEOUT_MS = 30_000;
const tableSchema = z.object({
  partitiontable: z.object({
    label: z.string(),
    sectorsize: z.number().default(512),
    partitions: z.array(z.object({ node: z.string(), start: z.number(), size: z.number(), type: z.string(), bootable: z.boolean().default(false) })).default([]),
  }),
});

export interface Partition extends Region {
  number: number;
  /** GPT: a GUID in capitals; DOS: a hexadecimal number. */
  type: string;
  /** The active flag of a DOS partition table. */
  active: boolean;
}
export interface PartitionTable {
  label: string;
  partitions: Partition[];
}

/** EFI system partitions: the GUID of a GPT, the type of a DOS table. */
export const EFI_SYSTEM_PARTITIONS: ReadonlySet<string> = new Set(['C12A7328-F81F-11D2-BA4B-00A0C93EC93B', 'EF']);
/** MBR types of extended partitions: containers, whose content is listed by itself. */
const EXTENDED_TYPES = new Set(['5', 'f', '85']);

/** The partition table as sfdisk reads it from the disk itself (not from what the kernel made of it); null when there is none. */
export async function readPartitionTable(path: string, signal: AbortSignal): Promise<PartitionTable | null> {
  const reply = await runProgram('sfdisk', ['--json', path], { timeoutMs: TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT, acceptedExitCodes: [0, 1] });
  if (reply.exitCode !== 0) {
    if (/does not contain a recognized partition table/.test(reply.stderr)) return null;
    throw new OperationFailedError(`sfdisk cannot read the partition table of ${path}: ${reply.stderr.trim()}`, { path });
  }
  const { label, sectorsize, partitions } = tableSchema.parse(JSON.parse(reply.stdout)).partitiontable;
  return {
    label,
    partitions: partitions
      .map(({ node, ...partition }) => ({ number: Number(/\d+$/.exec(node)?.[0]), ...partition }))
      .map(({ number, start, size, type, bootable }) => ({ name: `partition ${number}`, number, startBytes: start * sectorsize, sizeBytes: size * sectorsize, type: type.toUpperCase(), active: bootable }))
      .filter(({ type }) => label !== 'dos' || !EXTENDED_TYPES.has(type.toLowerCase())),
  };
}
