import { createHash } from 'node:crypto';
import { copyFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidParameterError, messageOf } from '../protocol/errors.ts';
import { BootLogFile } from './boot-log-file.ts';
import type { BootTarget } from './boot-override.ts';
import type { MachineConfig } from './config.ts';
import type { MachineHardware } from './machine-hardware.ts';
import { qemuArguments } from './qemu-arguments.ts';
import type { VirtualMedia } from './virtual-media.ts';
import { QMP_FD, VirtualSystem } from './virtual-system.ts';
import type { BootDeviceKind, VmConfig } from './vm-config.ts';

/** In the machine's directory: the variables of its UEFI firmware, which it keeps while it is off. */
export const FIRMWARE_VARIABLES_FILE = 'firmware-variables.fd';
const KIND_OF_TARGET = { Pxe: 'network', Hdd: 'disk', Cd: 'cd' } as const;
const TARGET_OF_KIND = { network: 'Pxe', disk: 'Hdd' } as const;

interface Machine {
  id: string;
  uuid: string;
  config: MachineConfig;
  directory: string;
  virtualMedia: VirtualMedia;
}

/** A virtual machine: every boot is a QEMU process of its own, with what the target names first in the firmware's boot order. */
export class VirtualHardware implements MachineHardware {
  readonly firstTarget: BootTarget;
  readonly #machine: Machine;
  readonly #vm: VmConfig;

  constructor(machine: Machine, vm: VmConfig) {
    this.#machine = machine;
    this.#vm = vm;
    this.firstTarget = TARGET_OF_KIND[vm.boot_order[0]!];
  }

  async start(target: BootTarget, bootNumber: number): Promise<VirtualSystem> {
    const { id, uuid, config, directory } = this.#machine;
    await checkDisks(config);
    const variablesFile = join(directory, FIRMWARE_VARIABLES_FILE);
    if (this.#vm.firmware === 'uefi') await provideVariables(this.#vm, variablesFile);
    const log = await BootLogFile.open(directory, bootNumber);
    try {
      const cd = await this.#fetchMedium(log);
      const { taps, bridge } = networkOf(this.#vm, uuid, config.macs);
      const args = qemuArguments({ id, uuid, macs: config.macs, disks: config.disks, vm: this.#vm, taps, order: this.#orderFor(target), cd, variablesFile, qmpFd: QMP_FD });
      return await VirtualSystem.start(args, { log, bridge, taps });
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  #orderFor(target: BootTarget): (BootDeviceKind | 'cd')[] {
    const first = KIND_OF_TARGET[target];
    return [first, ...this.#vm.boot_order.filter((kind) => kind !== first)];
  }

  /** A medium that its server does not hand out is as good as none: the firmware finds an empty drive and goes on. */
  async #fetchMedium(log: BootLogFile): Promise<string | null> {
    if (this.#machine.virtualMedia.image === null) return null;
    try {
      return await this.#machine.virtualMedia.fetch(this.#machine.directory);
    } catch (error) {
      log.write(`machine: the virtual CD drive is empty: ${messageOf(error)}\n`);
      return null;
    }
  }
}

/** @throws InvalidParameterError for what is no image file: never a device of this host. */
async function checkDisks({ disks }: MachineConfig): Promise<void> {
  for (const { path } of disks) {
    if (!(await stat(path)).isFile()) throw new InvalidParameterError(`${path} is not a regular file: a virtual machine's disk is an image file, never a device of this host`);
  }
}

async function provideVariables(vm: VmConfig, file: string): Promise<void> {
  const present = await stat(file).catch(() => null); // not yet there: the machine's first boot
  if (present) return;
  await copyFile(join(vm.firmware_directory, 'OVMF_VARS_4M.fd'), `${file}.new`);
  await rename(`${file}.new`, file);
}

/** QEMU makes the taps of a bridge, and with its end they are gone, however it ends. */
function networkOf(vm: VmConfig, uuid: string, macs: readonly string[]): { taps: string[]; bridge: string | null } {
  if (!vm.network) return { taps: [], bridge: null };
  if ('tap' in vm.network) return { taps: [vm.network.tap], bridge: null };
  const nameOf = (mac: string): string => `vm-${createHash('sha256').update(`${uuid} ${mac}`).digest('hex').slice(0, 10)}`;
  return { taps: macs.map(nameOf), bridge: vm.network.bridge };
}
