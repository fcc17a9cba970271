import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createRedfishVirtualMediaBoot } from '../../../conductor/drivers/boot/redfish-virtual-media.ts';
import type { BootDriver, DriverTask } from '../../../conductor/drivers/interfaces.ts';
import { createRedfishSystems, type RedfishSystems } from '../../../conductor/drivers/redfish-systems.ts';
import type { NodeRow, PortRow } from '../../../conductor/db/rows.ts';
import { makeTask } from '../power/driver-task.ts';
import { IsoDouble, isoUrl } from './iso-double.ts';
import { VirtualMediaDouble, type MediaOptions } from './virtual-media-double.ts';

const PORT = { address: '52:54:00:00:00:01', pxeEnabled: true } as PortRow;
const FOREIGN = 'http://images.example/rescue.iso';

let bmc: VirtualMediaDouble | undefined;
let systems: RedfishSystems;
let isos: IsoDouble;
let boot: BootDriver;

async function startBmc(options: MediaOptions = {}): Promise<VirtualMediaDouble> {
  bmc = await VirtualMediaDouble.start(options);
  systems = createRedfishSystems({ firstPollMs: 1, maxPollMs: 5, retryPauseMs: 1, attempts: 2 });
  isos = new IsoDouble();
  boot = createRedfishVirtualMediaBoot(systems, isos, { settleMs: 150, lostMs: 30 });
  return bmc;
}
afterEach(async () => {
  await systems.close();
  await bmc?.stop();
});

function task(node: Partial<NodeRow> = {}): DriverTask {
  const made = makeTask({ driverInfo: bmc?.driverInfo ?? {}, ...node });
  return { ...made, ports: [PORT] };
}

describe('booting the ramdisk from virtual media', () => {
  test.each<[string, MediaOptions]>([
    ['with actions, at its manager', {}],
    ['with actions, at its system', { at: 'system' }],
    ['without actions, which takes a change of the drive', { way: 'PATCH' }],
    ['that names actions which it does not have', { way: 'dead action' }],
    ['that takes the image alone', { refuses: ['Inserted', 'WriteProtected'] }],
    ['that takes the image alone, as a change of the drive', { way: 'PATCH', refuses: ['WriteProtected', 'TransferProtocolType'] }],
    ['that wants to be told the protocol', { needs: 'TransferProtocolType' }],
    ['with weak ETags that it takes as strong ones only', { way: 'PATCH', etags: true }],
    ['that takes its time', { looksUntilSettled: 4 }],
    ['that does not say what is inserted', { hidesImage: true }],
    ['whose answers are lost', { lostAnswers: 1 }],
    ['to which requests are lost', { lostRequests: 1 }],
  ])('a BMC %s inserts our ISO and ejects it', async (_what, options) => {
    const { drives } = await startBmc(options);
    const node = task();
    const prepared = await boot.prepareRamdisk(node);
    expect(prepared).toEqual({ ramdiskBoot: 'served', bootNonceHash: createHash('sha256').update(isos.nonces[0]!).digest('hex') });
    expect(drives.map(({ image }) => image)).toEqual([null, isoUrl(1)]);
    expect(isos.nonces[0]).toMatch(/^[\w-]{43}$/);

    await boot.cleanUpRamdisk(task({ ...node.node, ...prepared }));
    expect(drives.map(({ image }) => image)).toEqual([null, null]);
    expect(isos.removed).toEqual([node.node.uuid]);
  });

  test('asks for a write-protected medium first', async () => {
    const { changes } = await startBmc();
    await boot.prepareRamdisk(task());
    expect(changes).toEqual([{ method: 'POST', path: '/redfish/v1/Managers/1/VirtualMedia/Cd1/Actions/VirtualMedia.InsertMedia', body: { Image: isoUrl(1), Inserted: true, WriteProtected: true } }]);
  });

  test('an ISO that a boot before has left is replaced', async () => {
    const { drives } = await startBmc({ drives: [{ id: 'Cd1', types: ['CD'], image: isoUrl(77) }] });
    await boot.prepareRamdisk(task());
    expect(drives[0]?.image).toBe(isoUrl(1));
  });

  test('what somebody else has inserted is named and left alone, and no ISO is made', async () => {
    const { changes } = await startBmc({ drives: [{ id: 'Cd1', types: ['CD'], image: FOREIGN }] });
    await expect(boot.prepareRamdisk(task())).rejects.toThrow(`VirtualMedia/Cd1 holds an image that somebody else has inserted (${FOREIGN})`);
    await boot.cleanUpRamdisk(task({ ramdiskBoot: 'served' }));
    expect([changes, isos.made]).toEqual([[], []]);
  });

  test('our ISO is ejected although the BMC does not say what it is and the machine has left the ramdisk meanwhile', async () => {
    const { drives } = await startBmc({ hidesImage: true });
    await boot.prepareRamdisk(task());
    expect(drives.map(({ image }) => image)).toContain(isoUrl(1));
    await boot.cleanUpRamdisk(task({ ramdiskBoot: 'left' }));
    expect(drives.map(({ image }) => image)).toEqual([null, null]);
  });

  test('what somebody else has inserted is not ejected by a clean-up where the BMC does not say what it is', async () => {
    const { drives } = await startBmc({ hidesImage: true, drives: [{ id: 'Cd1', types: ['CD'], image: FOREIGN }] });
    await expect(boot.prepareRamdisk(task())).rejects.toThrow('the BMC does not say which');
    await boot.cleanUpRamdisk(task());
    expect(drives[0]?.image).toBe(FOREIGN);
  });

  test('a BMC without a drive for CDs is refused, and its server comes back all the same', async () => {
    await startBmc({ drives: [{ id: 'Floppy1', types: ['Floppy', 'USBStick'] }] });
    await expect(boot.prepareRamdisk(task())).rejects.toThrow(/shows no virtual media that take a CD: expected a member of VirtualMedia with the media type CD or DVD/);
    await boot.cleanUpRamdisk(task());
    expect(isos.removed).toHaveLength(1);
  });

  test('a BMC that accepts and does nothing fails the boot with that', async () => {
    await startBmc({ looksUntilSettled: Infinity });
    await expect(boot.prepareRamdisk(task())).rejects.toThrow(/accepted the request, and 0\.15 s later nothing has come of it/);
  });

  test('a BMC that refuses every form is quoted with its first reason', async () => {
    await startBmc({ refuses: ['Image'] });
    await expect(boot.prepareRamdisk(task())).rejects.toThrow(/answered 400: The property Image is not known/);
  });

  test('a BMC that refuses or fails to eject does not keep the server from coming back', async () => {
    const ours = [{ id: 'Cd1', types: ['CD'], image: isoUrl(5) }];
    const node = (await startBmc({ way: 'PATCH', refuses: ['Image', 'Inserted'], drives: ours })) && task();
    await boot.cleanUpRamdisk(node);
    expect(isos.removed).toEqual([node.node.uuid]);
    await bmc?.stop();
    await startBmc({ fails: true, drives: ours });
    await boot.cleanUpRamdisk(task());
    expect(isos.removed).toHaveLength(1);
  });

  test('a server whose BMC cannot be reached is not called clean', async () => {
    const node = (await startBmc()) && task();
    await bmc?.stop();
    bmc = undefined;
    await expect(boot.cleanUpRamdisk(node)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('a node is valid for virtual media', () => {
  test('without a word to its BMC', async () => {
    const { changes } = await startBmc();
    await boot.validate(task());
    expect(changes).toEqual([]);
  });

  test('with a BMC, a port and a conductor that makes ISOs', async () => {
    await startBmc();
    await expect(boot.validate(task({ driverInfo: {} }))).rejects.toThrow(/redfish_address/);
    await expect(boot.validate({ ...task(), ports: [] })).rejects.toThrow(/has no port/);
    await expect(createRedfishVirtualMediaBoot(systems, null).validate(task())).rejects.toThrow(/needs the section boot/);
  });
});
