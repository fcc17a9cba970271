import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { KERNEL_PARAMETERS } from '../../protocol/ramdisk-boot.ts';
import type { BootMachine } from '../drivers/boot-files.ts';
import { newCredential } from '../drivers/credential.ts';
import { localBootScript, ramdiskScript } from './boot-scripts.ts';
import { composeKernelCommandLine, type CommandLineParts } from './kernel-command-line.ts';

/** The nodes as boot files see them. */
export interface BootLedger {
  /** The node that has a port with this MAC address (lower case), and its ports. */
  machineOf(address: string): Promise<BootMachine | null>;
  /** From `armed` to `served` with the hash of the nonce; false when somebody else was first, or it is not armed any more. */
  claim(nodeId: number, bootNonceHash: string): Promise<boolean>;
  /** From `served` to `left`: whoever was given the ramdisk may run from its own disk now. False when it is not served, or noted already. */
  noteLeft(nodeId: number): Promise<boolean>;
}

export interface ScriptParts {
  ledger: BootLedger;
  /** Names kernel and initramfs as they are now. @throws MetalshotError when there are none. */
  ramdiskKey(): Promise<string>;
  baseUrl: string;
  apiUrl: string;
  kernelParameters: string;
  log: Logger;
}

/**
 * The script for the machine with this address: the ramdisk for one that is to be taken into it, once; for everybody else
 * the own disk. So a ramdisk that panics, and a machine whose boot order was never put back, end at their own disk; that
 * a machine came back is stored, since its power must not be cut then as that of a ramdisk.
 * @param peer who asks, for the log.
 */
export async function scriptOfMachine(address: string, peer: string, parts: ScriptParts): Promise<string> {
  const { ledger, baseUrl, log } = parts;
  const ownDisk = localBootScript(baseUrl);
  const machine = await ledger.machineOf(address);
  if (!machine) {
    log.info({ address, peer }, 'an unknown machine boots from the network: it gets its own disk');
    return ownDisk;
  }
  const { node, ports } = machine;
  const known = { node: node.uuid, address, peer };
  if (node.ramdiskBoot === 'served' || node.ramdiskBoot === 'left') {
    await ledger.noteLeft(node.id);
    log.warn({ ...known, alarm: true }, 'a machine whose ramdisk was handed out already boots from the network: it was reset, or somebody asks in its name; it gets its own disk');
    return ownDisk;
  }
  if (node.ramdiskBoot === null) {
    log.info(known, 'a machine that is not expected boots from the network: it gets its own disk');
    return ownDisk;
  }
  if (!ports.some((port) => port.address === address && port.pxeEnabled)) {
    log.warn(known, 'a machine that is expected boots from a port that has pxe_enabled set to false: it gets its own disk');
    return ownDisk;
  }
  let served: { script: string; hash: string };
  try {
    served = await makeRamdiskScript(address, machine, parts);
  } catch (error) {
    log.error({ ...known, reason: messageOf(error) }, 'there is no ramdisk for a machine that is expected: it gets its own disk');
    return ownDisk;
  }
  if (!(await ledger.claim(node.id, served.hash))) {
    await ledger.noteLeft(node.id); // which of the two answers the machine goes by is not known
    log.warn({ ...known, alarm: true }, 'the ramdisk of this boot was asked for twice at once: this one gets its own disk');
    return ownDisk;
  }
  log.info(known, 'the machine is given its ramdisk');
  return served.script;
}

async function makeRamdiskScript(address: string, machine: BootMachine, { ramdiskKey, baseUrl, apiUrl, kernelParameters }: ScriptParts): Promise<{ script: string; hash: string }> {
  const { password: nonce, hash } = newCredential();
  const commandLine = composeScriptCommandLine(address, machine, { apiUrl, nonce, kernelParameters });
  return { script: ramdiskScript({ baseUrl, key: await ramdiskKey(), commandLine }), hash };
}

/** The kernel's command line for a machine that boots from the interface with this address. @throws InvalidParameterError as composeKernelCommandLine. */
export const composeScriptCommandLine = (address: string, machine: BootMachine, given: Pick<CommandLineParts, 'apiUrl' | 'nonce' | 'kernelParameters'>): string =>
  `${composeKernelCommandLine({ ...machine, ...given })} ${KERNEL_PARAMETERS.bootInterface}=01-${address.replaceAll(':', '-')}`;
