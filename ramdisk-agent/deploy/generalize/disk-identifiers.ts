import { randomUUID } from 'node:crypto';
import type { GeneralizedItem } from '../../../protocol/deploy-commands.ts';
import type { BlockDevice } from '../../devices/block-device.ts';
import type { PartitionTable } from '../../disk-layout/partition-table.ts';
import { runSfdisk } from '../backup-gpt.ts';

/** A new GUID for a GPT's disk, to which nothing refers; the other identifiers stay, because what boots refers to them. */
export async function changeDiskIdentifiers(device: BlockDevice, table: PartitionTable | null, signal: AbortSignal): Promise<GeneralizedItem[]> {
  const kept = (item: string, note: string): GeneralizedItem => ({ item, where: device.name, outcome: 'kept', note });
  const fileSystems = kept('file system UUIDs', 'fstab and the boot loader refer to them; two machines may have the same');
  if (table === null) return [fileSystems];
  if (table.label !== 'gpt') return [kept('MBR disk identifier', 'boot loaders refer to it, and partitions take their PARTUUID from it'), fileSystems];
  const guid = randomUUID().toUpperCase();
  await runSfdisk(['--disk-id', device.name, guid], signal);
  return [{ item: 'GPT disk GUID', where: device.name, outcome: 'changed', note: guid }, kept('GPT partition GUIDs', 'the kernel command line and boot entries refer to them'), fileSystems];
}
