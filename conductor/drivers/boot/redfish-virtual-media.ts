import { InvalidParameterError, messageOf, OperationFailedError } from '../../../protocol/errors.ts';
import { BmcError } from '../bmc-error.ts';
import { RAMDISK_PROPERTIES, type BootFiles } from '../boot-files.ts';
import { newCredential } from '../credential.ts';
import type { BootDriver, DriverTask } from '../interfaces.ts';
import { readRedfishAccess, REDFISH_PROPERTIES } from '../redfish-access.ts';
import type { RedfishSystems } from '../redfish-systems.ts';
import { DRIVE_TIMES, findCdDrives, type DriveTimes, type VirtualDrive } from '../redfish-virtual-media.ts';
import { requirePorts } from '../required-ports.ts';

/** Path of our ISOs, for BMCs that show an image's last part only. */
const ISO_NAME = 'ramdisk.iso';

/**
 * Boots the ramdisk from an ISO that the BMC shows the machine as a CD: nothing of the boot goes through the network in
 * which the machine is, and that needs no DHCP.
 * @param files null: this conductor makes no ISOs.
 */
export function createRedfishVirtualMediaBoot(systems: RedfishSystems, files: BootFiles | null, times: DriveTimes = DRIVE_TIMES): BootDriver {
  const isOurs = (image: string | null): image is string => image !== null && (image === ISO_NAME || (files?.isIso(image) ?? false));

  const check = async (task: DriverTask): Promise<BootFiles> => {
    await readRedfishAccess(task.node.driverInfo);
    if (!files) throw new InvalidParameterError('The boot interface "redfish-virtual-media" needs the section boot of the conductor\'s configuration, which says where BMCs find the ISO; there is none. See docs/configuration.md.');
    await requirePorts(task);
    await files.check('iso');
    await files.checkMachine(task, 'iso');
    return files;
  };

  /** The drive for our ISO, with nobody else's medium in it. */
  const findDrive = async (task: DriverTask): Promise<VirtualDrive> => {
    const system = await systems.of(task);
    const drive = (await findCdDrives(system, task.signal, times))[0];
    if (!drive) throw new OperationFailedError(`BMC ${system.origin} shows no virtual media that take a CD: expected a member of VirtualMedia with the media type CD or DVD. Some BMCs need a licence for it; otherwise use the boot interface ipxe.`);
    const medium = await drive.medium(task.signal);
    if (medium && !isOurs(medium.image)) throw new OperationFailedError(`${drive.name} holds an image that somebody else has inserted (${medium.image ?? 'the BMC does not say which'}): eject it, or use the boot interface ipxe`);
    return drive;
  };

  const ejectOurs = async (task: DriverTask): Promise<void> => {
    for (const drive of await findCdDrives(await systems.of(task), task.signal, times)) {
      const medium = await drive.medium(task.signal);
      const mustBeOurs = medium?.image === null && task.node.ramdiskBoot !== null;
      if (medium && (mustBeOurs || isOurs(medium.image))) await drive.eject(task.signal);
    }
  };

  return {
    name: 'redfish-virtual-media',
    properties: { ...REDFISH_PROPERTIES, ...RAMDISK_PROPERTIES },
    ramdiskDevice: 'cdrom',

    async validate(task) {
      await check(task);
    },

    async probe(task) {
      await findDrive(task);
    },

    async prepareRamdisk(task) {
      const isos = await check(task);
      const drive = await findDrive(task);
      await drive.eject(task.signal); // an ISO that a boot before has left there
      const { password: nonce, hash } = newCredential();
      const url = await isos.provideIso(task, nonce, task.signal);
      const { image } = await drive.insert(url, task.signal);
      if (image === null) task.log.warn({ drive: drive.name }, 'the BMC does not say which image is inserted; it is taken for ours');
      else if (!isOurs(image) || (image !== ISO_NAME && !image.endsWith(new URL(url).pathname))) throw new OperationFailedError(`${drive.name}: expected our ISO to be inserted, found ${image}`);
      return { ramdiskBoot: 'served', bootNonceHash: hash };
    },

    async cleanUpRamdisk(task) {
      try {
        await ejectOurs(task);
      } catch (error) {
        // a BMC that does not answer can do nothing else for the server either; one that will not eject must not keep it from coming back, and the medium cannot be read any more
        if (task.signal.aborted || (error instanceof BmcError && error.failure.status === null && error.failure.passing)) throw error;
        task.log.error({ error: messageOf(error) }, 'the ISO of the ramdisk could not be ejected');
      } finally {
        await files?.removeIso(task.node.uuid);
      }
    },
  };
}
