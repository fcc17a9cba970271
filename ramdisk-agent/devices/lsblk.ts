import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { BlockDevice } from './block-device.ts';
import { findControllerDriver } from './device-driver.ts';

const COLUMNS = 'NAME,PATH,TYPE,SIZE,RO,RM,ROTA,MODEL,VENDOR,SERIAL,WWN,HCTL,LOG-SEC,MAJ:MIN';
const TIMEOUT_MS = 30_000;

const text = z.string().nullable().transform((value) => value?.trim() || null);
const rowSchema = z.object({
  name: z.string(),
  path: z.string(),
  type: z.string(),
  size: z.number(),
  ro: z.boolean(),
  rm: z.boolean(),
  rota: z.boolean(),
  model: text,
  vendor: text,
  serial: text,
  wwn: text,
  hctl: text,
  'log-sec': z.number(),
  'maj:min': z.string(),
});
export type LsblkRow = z.infer<typeof rowSchema>;
const replySchema = z.object({ blockdevices: z.array(rowSchema) });

/** Facts about these very devices, or about all when `paths` is empty; never about their partitions (lsblk(8)). */
export async function runLsblk(paths: readonly string[]): Promise<LsblkRow[]> {
  const { stdout } = await runProgram('lsblk', ['--json', '--bytes', '--nodeps', '--output', COLUMNS, ...paths], { timeoutMs: TIMEOUT_MS, env: CHILD_ENVIRONMENT });
  return parseLsblk(stdout);
}

export const parseLsblk = (stdout: string): LsblkRow[] => replySchema.parse(JSON.parse(stdout)).blockdevices;

/** Adds what lsblk does not print: from udev's database where udev runs, else the WWN from sysfs. */
export function toBlockDevice(row: LsblkRow): BlockDevice {
  const udev = readUdevProperties(row['maj:min']);
  return {
    name: row.path,
    sizeBytes: row.size,
    sectorSizeBytes: row['log-sec'],
    rotational: row.rota,
    model: row.model,
    vendor: row.vendor,
    serial: row.serial,
    wwn: row.wwn ?? readSysfsWwn(row['maj:min']),
    wwnWithExtension: udev.get('E:ID_WWN_WITH_EXTENSION') ?? null,
    wwnVendorExtension: udev.get('E:ID_WWN_VENDOR_EXTENSION') ?? null,
    hctl: row.hctl,
    byPath: udev.get('by-path') ?? null,
    driver: findControllerDriver(`/sys/dev/block/${row['maj:min']}`),
  };
}

/** /run/udev/data/bMAJOR:MINOR: lines `E:NAME=value` for properties and `S:disk/by-path/…` for links below /dev. */
function readUdevProperties(majorMinor: string): Map<string, string> {
  const path = `/run/udev/data/b${majorMinor}`;
  const properties = new Map<string, string>();
  if (!existsSync(path)) return properties;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [name = '', value] = line.split(/=(.*)/s);
    if (value !== undefined) properties.set(name, value);
    else if (line.startsWith('S:disk/by-path/')) properties.set('by-path', `/dev/${line.slice(2)}`);
  }
  return properties;
}

/** The kernel's `wwid`, written as udev would: naa.5000… -> 0x5000…, eui.… as it is. Other forms are no WWN. */
function readSysfsWwn(majorMinor: string): string | null {
  const path = ['device/wwid', 'wwid'].map((name) => `/sys/dev/block/${majorMinor}/${name}`).find(existsSync);
  const wwid = path === undefined ? '' : readFileSync(path, 'utf8').trim();
  if (wwid.startsWith('naa.')) return `0x${wwid.slice('naa.'.length)}`;
  return wwid.startsWith('eui.') ? wwid : null;
}
