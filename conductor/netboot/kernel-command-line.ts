import { InvalidParameterError } from '../../protocol/errors.ts';
import { KERNEL_PARAMETERS } from '../../protocol/ramdisk-boot.ts';
import type { NodeRow, PortRow } from '../db/rows.ts';
import { readFixedAddress } from './network-data.ts';

/** What of a machine stands on its ramdisk's kernel command line; a driver's task is one. */
export interface BootingMachine {
  readonly node: Pick<NodeRow, 'driverInfo' | 'networkData'>;
  readonly ports: readonly Pick<PortRow, 'address' | 'pxeEnabled'>[];
}

export interface CommandLineParts extends BootingMachine {
  /** Where the ramdisk finds the conductor. */
  apiUrl: string;
  nonce: string;
  /** The configuration's `boot.kernel_parameters`. */
  kernelParameters: string;
}

/** A kernel that panics boots the machine again, from its own disk, after so many seconds. */
const PANIC_TIMEOUT_S = 10;
/** What a kernel of x86 takes (its COMMAND_LINE_SIZE), less BOOTIF and what names kernel and initramfs. */
const LENGTH_LIMIT = 1_900;
/** Set by us alone; `metalshot-shell` may be asked for. */
const OURS: readonly string[] = [KERNEL_PARAMETERS.apiUrl, KERNEL_PARAMETERS.bootNonce, KERNEL_PARAMETERS.bootInterface, KERNEL_PARAMETERS.vlan, KERNEL_PARAMETERS.address, 'panic', 'initrd'];

/**
 * The kernel parameters of one boot into the ramdisk, without BOOTIF, which the boot loader or the ISO adds. Its words hold
 * nothing that iPXE or GRUB would take for their own language.
 * @throws InvalidParameterError naming what of driver_info, network_data or configuration is wrong.
 */
export function composeKernelCommandLine({ node, apiUrl, nonce, kernelParameters }: CommandLineParts): string {
  const { driverInfo, networkData } = node;
  const fixed = readFixedAddress(networkData);
  const vlan = readVlan(driverInfo['provisioning_vlan']);
  if (vlan !== null && fixed?.vlan && fixed.vlan !== vlan) throw new InvalidParameterError(`driver_info.provisioning_vlan: is ${vlan}, while network_data has the VLAN ${fixed.vlan} for the address of the ramdisk: make them one`);
  const tag = vlan ?? fixed?.vlan ?? null;
  const words = [
    ...readParameters(kernelParameters, 'the configuration key boot.kernel_parameters'),
    ...readParameters(driverInfo['kernel_append_params'] ?? '', 'driver_info.kernel_append_params'),
    // the last one counts: what somebody adds takes nothing of the way back
    `panic=${PANIC_TIMEOUT_S}`,
    `${KERNEL_PARAMETERS.apiUrl}=${apiUrl}`,
    `${KERNEL_PARAMETERS.bootNonce}=${nonce}`,
    ...(tag === null ? [] : [`${KERNEL_PARAMETERS.vlan}=${tag}`]),
    ...(fixed === null ? [] : [`${KERNEL_PARAMETERS.address}=${fixed.address}/${fixed.prefixLength}${fixed.gateway === null ? '' : `,${fixed.gateway}`}`]),
  ];
  const commandLine = words.join(' ');
  if (commandLine.length > LENGTH_LIMIT) throw new InvalidParameterError(`The kernel's command line would have ${commandLine.length} characters, ${LENGTH_LIMIT} are possible: shorten the configuration key boot.kernel_parameters or driver_info.kernel_append_params`);
  return commandLine;
}

/**
 * `BOOTIF=01-aa-bb-cc-dd-ee-ff`: the port that the ramdisk speaks by, where no boot loader can tell. It is the one that
 * network_data gives an address to, or the first that boots from the network, or the first.
 * @throws InvalidParameterError when there is none.
 */
export function composeBootInterface({ node, ports }: BootingMachine): string {
  const mac = readFixedAddress(node.networkData)?.mac ?? null;
  const port = mac === null ? (ports.find(({ pxeEnabled }) => pxeEnabled) ?? ports[0]) : ports.find(({ address }) => address === mac);
  if (!port) throw new InvalidParameterError(mac === null ? 'expected at least one port, by which the ramdisk reaches the conductor, found none: create one with the MAC address of the network card in the provisioning network' : `network_data: its link has the MAC address ${mac}, expected that of one of the node's ports (${ports.map(({ address }) => address).join(', ') || 'it has none'})`);
  return `${KERNEL_PARAMETERS.bootInterface}=01-${port.address.replaceAll(':', '-')}`;
}

function readVlan(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return null;
  const vlan = typeof value === 'number' ? value : typeof value === 'string' && /^\d{1,4}$/.test(value) ? Number(value) : NaN;
  if (!Number.isInteger(vlan) || vlan < 1 || vlan > 4094) throw new InvalidParameterError(`driver_info.provisioning_vlan: expected a number from 1 to 4094, found ${JSON.stringify(value)}`);
  return vlan;
}

/** What boot loaders read as more than text, and what would end the kernel's own parameters. */
function readParameters(value: unknown, where: string): string[] {
  if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value)) throw new InvalidParameterError(`${where}: expected one line of printable ASCII, found ${JSON.stringify(value)}`);
  const special = /["'\\`$(){}|&;<>#]/.exec(value);
  if (special) throw new InvalidParameterError(`${where}: expected kernel parameters without any of "'\\\`$(){}|&;<>#, which boot loaders do not leave as they are; found ${special[0]}`);
  // Ironic's name for what the configuration has, which is always there
  const words = value.split(/ +/).filter((word) => word !== '' && word !== '%default%');
  const forbidden = words.find((word) => word === '--' || OURS.includes(word.split('=', 1)[0] ?? ''));
  if (forbidden !== undefined) throw new InvalidParameterError(`${where}: "${forbidden}" is not for you to set, the conductor does it for each boot`);
  return words;
}
