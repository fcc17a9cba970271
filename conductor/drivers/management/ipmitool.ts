import { InvalidParameterError, OperationFailedError } from '../../../protocol/errors.ts';
import { declaredBootMode } from '../boot-mode.ts';
import type { BootDevice, BootDeviceSetting, DriverTask, ManagementDriver } from '../interfaces.ts';
import { IPMI_PROPERTIES, readIpmiAccess } from '../ipmi-access.ts';
import { IpmiError } from '../ipmi-failure.ts';
import type { IpmiBmc, IpmiBmcs } from '../ipmi-bmcs.ts';

/** Names that `ipmitool chassis bootdev` has for them are ours. */
const BOOT_DEVICES: readonly BootDevice[] = ['pxe', 'disk', 'cdrom', 'bios', 'safe'];
/** Boot device selectors of the boot flags (IPMI 2.0, table 28-14, parameter 5); 8 is a CD in the BMC's remote media. */
const SELECTORS: Readonly<Record<number, BootDevice>> = { 1: 'pxe', 2: 'disk', 3: 'safe', 5: 'cdrom', 6: 'bios', 8: 'cdrom' };
/**
 * Set System Boot Options, parameter 3, "don't clear the valid bit when no chassis control command comes within 60 seconds":
 * the boot device is set long before the server is powered on when the power off takes its time.
 */
const KEEP_BOOT_FLAGS = ['raw', '0x00', '0x08', '0x03', '0x08'];

/**
 * Boot device of a server by the boot flags of its BMC. Some BMCs keep for good what was set for one boot, or the other way
 * round, or do not tell: whoever depends on it sets it before every boot.
 */
export function createIpmitoolManagement(bmcs: IpmiBmcs): ManagementDriver {
  return {
    name: 'ipmitool',
    properties: IPMI_PROPERTIES,

    async validate({ node }) {
      readIpmiAccess(node.driverInfo);
    },

    async supportedBootDevices() {
      return [...BOOT_DEVICES]; // IPMI has no way to ask
    },

    async getBootDevice(task) {
      return readBootFlags(bmcs.of(task), task.signal);
    },

    async setBootDevice(task, device, persistent) {
      if (!BOOT_DEVICES.includes(device)) throw new InvalidParameterError(`Invalid boot device ${String(device)} specified; supported are ${BOOT_DEVICES.join(', ')}.`);
      const bmc = bmcs.of(task);
      if (bmc.access.disablesBootTimeout) await keepBootFlags(bmc, task);
      const options = [...(persistent ? ['persistent'] : []), ...(declaredBootMode(task.node.properties) === 'uefi' ? ['efiboot'] : [])];
      await bmc.run(['chassis', 'bootdev', device, ...(options.length > 0 ? [`options=${options.join(',')}`] : [])], task.signal, /Set Boot Device to/);
      await compare(bmc, task, device, persistent);
    },
  };
}

async function keepBootFlags(bmc: IpmiBmc, task: DriverTask): Promise<void> {
  try {
    await bmc.run(KEEP_BOOT_FLAGS, task.signal);
  } catch (error) {
    if (!(error instanceof IpmiError) || error.reason !== 'refused') throw error;
    task.log.warn({ reason: error.message }, 'the BMC does not let its boot device timeout be switched off; it may forget the boot device after 60 s');
  }
}

/** Looks whether the BMC has it. @throws OperationFailedError when it reports another device. */
async function compare(bmc: IpmiBmc, task: DriverTask, device: BootDevice, persistent: boolean): Promise<void> {
  const found = await readBootFlags(bmc, task.signal);
  if (found.persistent === null) return task.log.warn({ device }, 'the BMC took the boot device, but does not tell that it has one set');
  if (found.bootDevice !== device) throw new OperationFailedError(`BMC ${bmc.name}: the boot device was set to ${device}, but the BMC reports ${found.bootDevice ?? 'another one'}`);
  if (found.persistent !== persistent) task.log.warn({ device }, persistent ? 'the BMC sets the boot device for the next boot only, not for good' : 'the BMC sets the boot device for good, not for the next boot only');
}

/** Nothing when no device is set, or when the flags are not valid: used up by a boot, or timed out. */
async function readBootFlags(bmc: IpmiBmc, signal: AbortSignal): Promise<BootDeviceSetting> {
  const output = await bmc.run(['chassis', 'bootparam', 'get', '5'], signal, /Boot parameter data/);
  const data = /Boot parameter data: *([0-9a-f]{4,})/i.exec(output)?.[1];
  if (data === undefined) throw new OperationFailedError(`BMC ${bmc.name} does not tell its boot device: expected "Boot parameter data", found ${JSON.stringify(output.slice(0, 200))}`);
  const [flags = 0, selection = 0] = Buffer.from(data.slice(0, 4), 'hex');
  const selector = (selection >> 2) & 0x0f;
  if ((flags & 0x80) === 0 || selector === 0) return { bootDevice: null, persistent: null };
  return { bootDevice: SELECTORS[selector] ?? null, persistent: (flags & 0x40) !== 0 };
}
