import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { NodeRow, PortRow } from '../../../../conductor/db/rows.ts';
import { createIpxeBoot } from '../../../../conductor/drivers/boot/ipxe.ts';
import type { DriverTask } from '../../../../conductor/drivers/interfaces.ts';
import { createBootFiles, type ServedBootFiles } from '../../../../conductor/netboot/boot-files.ts';
import { InvalidParameterError } from '../../../../protocol/errors.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { RamdiskStage } from '../netboot/ramdisk-stage.ts';
import type { JsonObject } from '../../../../protocol/json.ts';

let stage: RamdiskStage;
let files: ServedBootFiles;
beforeEach(async () => {
  stage = await RamdiskStage.make();
  files = serve('http://10.0.0.1:6387');
});
afterEach(async () => {
  await files.close();
  await stage.remove();
});

const serve = (baseUrl: string): ServedBootFiles =>
  createBootFiles({
    ramdiskDirectory: stage.directory,
    isoDirectory: `${stage.root}/isos`,
    baseUrl,
    isoBaseUrl: baseUrl,
    apiUrl: 'https://10.0.0.1:6386',
    certificate: undefined,
    ramdisk: { conductor_silence_timeout_s: 1, idle_timeout_s: 1, watchdog_timeout_s: 0 },
    kernelParameters: '',
    ledger: { machineOf: () => Promise.resolve(null), claim: () => Promise.resolve(false), noteLeft: () => Promise.resolve(false) },
    log: createLogger('test', 'silent'),
  });
const port = (more: Partial<PortRow> = {}): PortRow => ({ id: 1, uuid: 'p', nodeId: 1, address: '52:54:00:aa:bb:01', name: null, pxeEnabled: true, isSmartnic: false, physicalNetwork: null, localLinkConnection: {}, extra: {}, internalInfo: {}, portgroupId: null, createdAt: new Date(), updatedAt: null, ...more });
const task = (node: Partial<NodeRow> = {}, ports = [port()]): DriverTask => ({ ...makeTask(node), ports });

test('a boot that is prepared is armed: its nonce is made when the machine asks', async () => {
  const driver = createIpxeBoot(files);
  expect(driver.ramdiskDevice).toBe('pxe');
  expect(await driver.prepareRamdisk(task())).toEqual({ ramdiskBoot: 'armed', bootNonceHash: null });
  await driver.cleanUpRamdisk(task());
});

test('its properties are told', () => {
  expect(Object.keys(createIpxeBoot(null).properties).sort()).toEqual(['kernel_append_params', 'provisioning_vlan']);
});

test('without boot files the section of the configuration is named', async () => {
  await expect(createIpxeBoot(null).validate(task())).rejects.toThrow(/section boot of the conductor's configuration/);
});

test.each<[string, Partial<NodeRow>, PortRow[], RegExp]>([
  ['a node without ports', {}, [], /has no port/],
  ['a node whose ports do not boot', {}, [port({ pxeEnabled: false })], /no port with pxe_enabled/],
  ['Secure Boot, as text', { properties: { capabilities: 'boot_mode:uefi, secure_boot:true' } }, [port()], /secure_boot.*redfish-virtual-media.*Secure Boot off/],
  ['Secure Boot, as an object', { properties: { capabilities: { secure_boot: 'True' } } }, [port()], /secure_boot/],
  ['a VLAN that is none', { driverInfo: { provisioning_vlan: 4095 } }, [port()], /driver_info\.provisioning_vlan.*4094/],
  ['parameters in two lines', { driverInfo: { kernel_append_params: 'a\nb' } }, [port()], /driver_info\.kernel_append_params/],
  ['parameters that are too long', { driverInfo: { kernel_append_params: 'x'.repeat(2_000) } }, [port()], /command line would have \d+ characters/],
])('%s is refused, before the boot too', async (_what, node, ports, message) => {
  const driver = createIpxeBoot(files);
  await expect(driver.validate(task(node, ports))).rejects.toThrow(message);
  await expect(driver.validate(task(node, ports))).rejects.toBeInstanceOf(InvalidParameterError);
  await expect(driver.prepareRamdisk(task(node, ports))).rejects.toThrow(message);
});

test.each<JsonObject>([{ capabilities: 'secure_boot:false' }, { capabilities: { secure_boot: false } }, { capabilities: 'boot_mode:uefi' }, {}])('a node with %j is not taken for one with Secure Boot', async (properties) => {
  await createIpxeBoot(files).validate(task({ properties }));
});

test('a ramdisk that has not been built is named, with the command that builds it', async () => {
  await stage.remove();
  await expect(createIpxeBoot(files).validate(task())).rejects.toThrow(/boot\.ramdisk_directory: .*npm run ramdisk/);
});

test.each(['http://0.0.0.0:6387', 'http://[::]:6387'])('%s is no address by which a machine finds anything', async (url) => {
  await files.close();
  files = serve(url);
  await expect(createIpxeBoot(files).validate(task())).rejects.toThrow(/boot\.advertise_url: required/);
});
