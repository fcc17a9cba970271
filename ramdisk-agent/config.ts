import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { z } from 'zod';
import { AGENT_PORT } from '../protocol/agent-api.ts';
import { InvalidParameterError, messageOf } from '../protocol/errors.ts';
import { KERNEL_PARAMETERS, RAMDISK_CA_PATH, RAMDISK_CONFIG_PATH, ramdiskConfigSchema } from '../protocol/ramdisk-boot.ts';
import { describeIssues } from './commands/define-command.ts';
import { KERNEL_COMMAND_LINE, RAMDISK_MARKER } from './devices/ramdisk-devices.ts';
import { hardwareConfigSchema } from './hardware/configured-hardware.ts';
import { parseBootInterface, parseKernelParameters } from './kernel-parameters.ts';

export const RAMDISK_RUN_DIRECTORY = '/run/metalshot-agent';
const NETWORK_INTERFACES = '/sys/class/net';

const port = z.coerce.number().int().min(0).max(65_535);
const absolutePath = z.string().regex(/^\/[^\s,"'\\#]*[^\s,"'\\#/]$/, 'expected an absolute path without white space, commas, quotes, backslashes or #');

const explicitDeviceSchema = z.strictObject({
  path: absolutePath,
  /** What the disk is to be known by; what is left out is asked of the system. */
  serial: z.string().min(1).nullable().optional(),
  wwn: z.string().min(1).nullable().optional(),
  model: z.string().min(1).nullable().optional(),
});

export const agentConfigSchema = z.strictObject({
  /** The conductor's provisioning listener. */
  api_url: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }),
  /** MAC addresses of this machine. */
  addresses: z.array(z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'expected a MAC address as aa:bb:cc:dd:ee:ff').toLowerCase()).min(1),
  /** The only disks that may be touched. Without them all disks of the machine, which is possible in the ramdisk only. */
  devices: z.array(z.union([absolutePath, explicitDeviceSchema], { error: 'expected an absolute path, or {"path", "serial", "wwn", "model"}' })).min(1).optional(),
  /** What else the machine has, where `devices` names its disks: the system that the agent runs on is not looked at then. */
  hardware: hardwareConfigSchema.optional(),
  run_directory: absolutePath,
  listen_host: z.string().default('0.0.0.0'),
  /** 0: any free port; a restarted agent takes the same again. */
  listen_port: port.default(AGENT_PORT),
  /** Default: the local address of the way to the conductor. */
  advertise_host: z.string().min(1).optional(),
  /** Default: the port that the agent listens on. */
  advertise_port: port.min(1).optional(),
  /** PEM of the conductor's certificate or its authority. */
  ca_file: absolutePath.optional(),
  /** Trust any certificate of the conductor. */
  insecure: z.boolean().default(false),
  lookup_timeout_s: z.coerce.number().positive().default(600),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  node_uuid: z.uuid().optional(),
  agent_token: z.string().min(32).optional(),
  /** Brought to the lookup: proves that this boot is the one that the conductor has prepared. */
  boot_nonce: z.string().regex(/^[\x21-\x7e]{1,512}$/, 'expected printable ASCII without white space').optional(),
  /** When the machine is booted from its own disk without being told. Without it, outside the ramdisk, it never is. */
  ramdisk: ramdiskConfigSchema.optional(),
  /** What boots a machine whose disks are named in `devices`; the agent ends either way. */
  reboot_command: z.array(z.string().min(1)).min(1).optional(),
  /** Memory for the image on its way. Default: 90 % of what is available. */
  cache_size_bytes: z.number().int().positive().optional(),
});
export type AgentConfig = z.infer<typeof agentConfigSchema>;

/** @throws InvalidParameterError naming the file and the keys that are wrong. */
export function readConfigFile(path: string): AgentConfig {
  return parseConfig(readJson(path), path);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new InvalidParameterError(`${path}: expected a JSON file that can be read: ${messageOf(error)}`, { path }, error);
  }
}

/** What the small initramfs on top of the ramdisk holds. */
export interface RamdiskFiles {
  /** Of RAMDISK_CONFIG_PATH. */
  settings?: unknown;
  /** RAMDISK_CA_PATH, where there is one. */
  caFile?: string;
}

/**
 * The configuration of an agent that was booted: from the kernel's command line and the small initramfs.
 * @throws InvalidParameterError outside the ramdisk, and for what is wrong in these.
 */
export function readKernelConfig(): AgentConfig {
  if (!existsSync(RAMDISK_MARKER)) throw new InvalidParameterError(`expected --config FILE: without it the agent reads the kernel's command line, which it does inside the Metalshot ramdisk only (there is no ${RAMDISK_MARKER})`);
  return parseKernelConfig(readFileSync(KERNEL_COMMAND_LINE, 'utf8'), listHardwareAddresses(), readRamdiskFiles());
}

/** Ironic's names for these parameters (`ipa-*`), and BOOTIF of the boot loader: the interface that booted comes first. */
export function parseKernelConfig(commandLine: string, hardwareAddresses: readonly string[], { settings = {}, caFile }: RamdiskFiles = {}): AgentConfig {
  const parameters = parseKernelParameters(commandLine);
  const bootInterface = parseBootInterface(parameters.get(KERNEL_PARAMETERS.bootInterface) ?? '');
  const insecure = parameters.get('ipa-insecure');
  return parseConfig(
    {
      api_url: parameters.get(KERNEL_PARAMETERS.apiUrl),
      addresses: [...new Set([...(bootInterface === null ? [] : [bootInterface]), ...hardwareAddresses])],
      run_directory: RAMDISK_RUN_DIRECTORY,
      listen_port: parameters.get('ipa-listen-port'),
      lookup_timeout_s: parameters.get('ipa-lookup-timeout'),
      advertise_host: parameters.get('ipa-advertise-host'),
      agent_token: parameters.get('ipa-agent-token'),
      insecure: insecure === undefined ? undefined : ['1', 'true', 'yes', 'on'].includes(insecure.toLowerCase()),
      boot_nonce: parameters.get(KERNEL_PARAMETERS.bootNonce),
      ca_file: caFile,
      ramdisk: settings,
    },
    `kernel command line (api_url is ipa-api-url, and so on; ramdisk is ${RAMDISK_CONFIG_PATH})`,
  );
}

function readRamdiskFiles(): RamdiskFiles {
  const caFile = existsSync(RAMDISK_CA_PATH) ? RAMDISK_CA_PATH : undefined;
  return existsSync(RAMDISK_CONFIG_PATH) ? { settings: readJson(RAMDISK_CONFIG_PATH), caFile } : { caFile };
}

function parseConfig(given: unknown, source: string): AgentConfig {
  const parsed = agentConfigSchema.safeParse(given);
  if (!parsed.success) throw new InvalidParameterError(`${source}: ${describeIssues(parsed.error)}`, { source });
  if (parsed.data.reboot_command && !parsed.data.devices) throw new InvalidParameterError(`${source}: "reboot_command": goes with a machine whose disks are named in "devices"; without that it is this machine that is booted`, { source });
  if (parsed.data.hardware && !parsed.data.devices) throw new InvalidParameterError(`${source}: "hardware": describes a machine whose disks are named in "devices"; without that the agent looks at its machine itself`, { source });
  return parsed.data;
}

/** Addresses of all Ethernet interfaces (type 1 of <linux/if_arp.h>), up or not. */
function listHardwareAddresses(): string[] {
  const read = (name: string, attribute: string): string => readFileSync(`${NETWORK_INTERFACES}/${name}/${attribute}`, 'utf8').trim();
  return readdirSync(NETWORK_INTERFACES)
    .filter((name) => existsSync(`${NETWORK_INTERFACES}/${name}/device`) && read(name, 'type') === '1')
    .map((name) => read(name, 'address'));
}
