import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { InvalidParameterError, messageOf } from '../protocol/errors.ts';
import { BOOT_MODES } from '../protocol/inventory.ts';
import { diskSchema, LONGEST_SERIAL, serialOf } from './disk-config.ts';
import { faultsSchema } from './faults.ts';
import { ipmiSchema } from './ipmi-config.ts';
import { vmSchema } from './vm-config.ts';

const GIB = 1024 ** 3;

const machineObject = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'expected letters, digits, "-" and "_"'),
  uuid: z.uuid().optional(),
  macs: z.array(z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'expected a MAC address in lower case with colons')).min(1),
  /** Image files (regular files); the machine sees each as a block device, in this order. A path alone has every default. */
  disks: z.array(z.union([z.string().min(1).transform((path) => diskSchema.parse({ path })), diskSchema], { error: 'expected a path, or {"path", "serial", "wwn", "model", "sector_size"}' })),
  /** What the agent finds beside disks, addresses and memory. */
  hardware: z
    .strictObject({
      boot_mode: z.enum(BOOT_MODES).default('bios'),
      disk_driver: z.string().default('virtio_blk'),
      interface_driver: z.string().default('virtio_net'),
      manufacturer: z.string().default('Metalshot'),
      product_name: z.string().default('Simulated machine'),
      /** Default: the id of the machine. */
      serial_number: z.string().optional(),
    })
    .prefault({}),
  /** Memory of the machine: nine tenths of it bound what its ramdisk can hold. */
  memory_bytes: z.number().int().positive().default(2 * GIB),
  /** Goes into the agent's configuration as it is; what a machine knows by itself (addresses, disks, memory) is added. */
  agent: z.looseObject({ api_url: z.url() }).optional(),
  /** Makes it a virtual machine, which boots what its firmware finds: `agent`, `hardware` and `memory_bytes` are not for it. */
  vm: vmSchema.optional(),
  /** Puts an IPMI BMC in front of it, beside the Redfish service. */
  ipmi: ipmiSchema.optional(),
  power: z.enum(['On', 'Off']).default('Off'),
  /** What the operating system on the disk takes to shut down, in milliseconds. */
  soft_off_ms: z.number().int().nonnegative().default(200),
  faults: faultsSchema.prefault({}),
});
const machineSchema = machineObject.superRefine((machine, context) => {
  for (const [path, message] of hardwareProblems(machine)) context.addIssue({ code: 'custom', path: [...path], message });
});
export type MachineConfig = z.infer<typeof machineSchema>;

/** What does not fit together: keys of simulated machines and of virtual ones. */
function hardwareProblems({ id, macs, disks, agent, vm }: z.infer<typeof machineObject>): [path: (string | number)[], problem: string][] {
  if (!vm) return agent ? [] : [[['agent'], 'required, unless the machine is a virtual one (vm)']];
  const problems = disks.flatMap((disk, index): [(string | number)[], string][] => [
    ...(disk.wwn === null && disk.model === null ? [] : [[['disks', index], "a virtual machine's disk has neither wwn nor model"] as [(string | number)[], string]]),
    ...((serialOf(id, disk, index) ?? '').length <= LONGEST_SERIAL ? [] : [[['disks', index, 'serial'], `expected at most ${LONGEST_SERIAL} characters, found ${serialOf(id, disk, index)}`] as [(string | number)[], string]]),
  ]);
  if (vm.network && 'tap' in vm.network && macs.length > 1) problems.push([['vm', 'network', 'tap'], `one tap is for one network card, found ${macs.length} addresses`]);
  return problems;
}

/** Every key of the simulator's configuration, with its default. */
export const rackConfigSchema = z.strictObject({
  listen: z.strictObject({ host: z.string().default('127.0.0.1'), port: z.number().int().min(0).max(65_535).default(0) }).prefault({}),
  redfish: z.strictObject({ username: z.string().min(1), password: z.string().min(1) }),
  machines: z.array(machineSchema).min(1),
  /** Logs and the agents' configuration, one directory per machine. */
  run_directory: z.string().min(1),
  /** Leave the machines' directories (logs) behind at the end. */
  keep_run_directory: z.boolean().default(false),
  /** What a machine runs after a boot from the network; `--config FILE` is appended. */
  agent_command: z
    .array(z.string())
    .min(1)
    .default(() => [process.execPath, fileURLToPath(new URL('../ramdisk-agent/main.js', import.meta.url))]),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});
export type RackConfig = z.infer<typeof rackConfigSchema>;
export type RackConfigInput = z.input<typeof rackConfigSchema>;

/** @throws InvalidParameterError naming every wrong key. */
export function parseRackConfig(document: unknown, source: string): RackConfig {
  const parsed = rackConfigSchema.safeParse(document);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top level)'}: ${issue.message}`);
    throw new InvalidParameterError(`The simulator's configuration in ${source} is not valid: ${problems.join('; ')}`, { problems });
  }
  const ids = parsed.data.machines.map((machine) => machine.id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new InvalidParameterError(`machines: the id ${twice} occurs twice in ${source}; ids name machines in Redfish paths and must be unique`);
  return { ...parsed.data, run_directory: resolve(parsed.data.run_directory) };
}

/** Reads the JSON file. @throws InvalidParameterError when it cannot be read, is not JSON or not valid. */
export async function loadRackConfig(file: string): Promise<RackConfig> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new InvalidParameterError(`Cannot read the simulator's configuration ${file}: ${messageOf(error)}`, {}, error);
  }
  return parseRackConfig(document, file);
}
