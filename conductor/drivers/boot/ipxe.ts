import { InvalidParameterError } from '../../../protocol/errors.ts';
import { RAMDISK_PROPERTIES, type BootFiles } from '../boot-files.ts';
import type { BootDriver, DriverTask } from '../interfaces.ts';
import { requirePorts } from '../required-ports.ts';

/**
 * Boots the ramdisk from the network: the machine's iPXE (or the one that DHCP gave it) fetches its script of the conductor.
 * @param files null: this conductor serves no boot files.
 */
export function createIpxeBoot(files: BootFiles | null): BootDriver {
  const check = async (task: DriverTask): Promise<void> => {
    if (!files) throw new InvalidParameterError('The boot interface "ipxe" needs the section boot of the conductor\'s configuration, which says where machines find their boot files; there is none. See docs/configuration.md.');
    await files.check('network');
    await requirePorts(task);
    const { node, ports } = task;
    if (!ports.some(({ pxeEnabled }) => pxeEnabled)) throw new InvalidParameterError(`Node ${node.uuid} has no port with pxe_enabled: its machine would not be recognised when it boots from the network. Set it with "baremetal port set PORT --pxe-enabled".`);
    await files.checkMachine(task, 'network');
  };
  return {
    name: 'ipxe',
    properties: RAMDISK_PROPERTIES,
    ramdiskDevice: 'pxe',
    validate: check,
    async prepareRamdisk(task) {
      await check(task);
      return { ramdiskBoot: 'armed', bootNonceHash: null };
    },
    async cleanUpRamdisk() {}, // the row says who gets a ramdisk, and that is the workflow's
  };
}
