import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { BootOrder } from '../../../protocol/agent-api.ts';
import { createLogger } from '../../../protocol/log.ts';
import { BootMemory } from '../../../ramdisk-agent/boot-memory.ts';
import { parseBootOrder, type BootEntries } from '../../../ramdisk-agent/hardware/boot-entries.ts';
import { BootOrderKeeper, keepingBootOrder } from '../../../ramdisk-agent/hardware/boot-order.ts';
import { ConfiguredHardware, hardwareConfigSchema } from '../../../ramdisk-agent/hardware/configured-hardware.ts';
import type { Hardware } from '../../../ramdisk-agent/hardware/hardware.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';

/** The variables of a firmware; what changes them is counted. */
class Firmware implements BootEntries {
  order: BootOrder = { boot_order: ['0001', '0000'], boot_next: null };
  failure: Error | null = null;
  changes = 0;

  replace(): Promise<void> {
    return Promise.reject(new Error('not of this test'));
  }
  readOrder(): Promise<BootOrder> {
    return this.failure ? Promise.reject(this.failure) : Promise.resolve({ ...this.order });
  }
  setBootOrder(numbers: readonly string[] | null): Promise<void> {
    return this.#change({ boot_order: numbers === null ? null : [...numbers] });
  }
  setBootNext(number: string | null): Promise<void> {
    return this.#change({ boot_next: number });
  }
  #change(change: Partial<BootOrder>): Promise<void> {
    this.changes += 1;
    this.order = { ...this.order, ...change };
    return Promise.resolve();
  }
}

let directory: string;
let firmware: Firmware;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-boot-order-'));
  firmware = new Firmware();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function start(bootMode: 'uefi' | 'bios' = 'uefi', bootEntries: BootEntries | null = firmware): Promise<BootOrderKeeper | null> {
  const configured = new ConfiguredHardware(hardwareConfigSchema.parse({ boot_mode: bootMode }), ['52:54:00:00:00:01']);
  const hardware: Hardware = { facts: () => configured.facts(), bootEntries };
  return BootOrderKeeper.start(hardware, new BootMemory(new RunDirectory(directory), 'boot'), createLogger('agent', 'silent'));
}
const capture = (): Promise<{ size: number }> => Promise.resolve({ size: 1 });

describe('after a capture the boot order', () => {
  test('is let be where nothing has changed it, and the result says so', async () => {
    const before = { boot_order: ['0001', '0000'], boot_next: null };
    expect(await keepingBootOrder(await start(), capture)).toEqual({ size: 1, boot_entries: { before, after: before, restored: [], problem: null } });
    expect(firmware.changes).toBe(0);
  });

  test.each<[string, BootOrder, BootOrder, string[]]>([
    ['another order', { boot_order: ['0001', '0000'], boot_next: null }, { boot_order: ['0000', '0001'], boot_next: null }, ['BootOrder']],
    ['an entry more', { boot_order: ['0001'], boot_next: null }, { boot_order: ['0007', '0001'], boot_next: null }, ['BootOrder']],
    ['a next boot from the network', { boot_order: ['0001'], boot_next: null }, { boot_order: ['0001'], boot_next: '0003' }, ['BootNext']],
    ['a next boot that was used up', { boot_order: ['0001'], boot_next: '0001' }, { boot_order: ['0001'], boot_next: null }, ['BootNext']],
    ['an order where none was', { boot_order: null, boot_next: null }, { boot_order: ['0002'], boot_next: '0002' }, ['BootOrder', 'BootNext']],
  ])('is as before in spite of %s', async (_what, before, after, restored) => {
    firmware.order = before;
    const keeper = await start();
    firmware.order = after;
    expect(await keepingBootOrder(keeper, capture)).toEqual({ size: 1, boot_entries: { before, after, restored, problem: null } });
    expect(firmware.order).toEqual(before);
  });

  test('is put back as well when the capture fails, and its reason is what is told', async () => {
    const keeper = await start();
    firmware.order = { boot_order: ['0000'], boot_next: '0000' };
    await expect(keepingBootOrder(keeper, () => Promise.reject(new Error('the disk is on fire')))).rejects.toThrow('the disk is on fire');
    expect(firmware.order).toEqual({ boot_order: ['0001', '0000'], boot_next: null });
  });

  test('is that of the beginning of the boot, whatever agent found it', async () => {
    await start();
    firmware.order = { boot_order: ['0000'], boot_next: null };
    await (await start())!.restore();
    expect(firmware.order.boot_order).toEqual(['0001', '0000']);
  });

  test('is that of the deployment, where there was one', async () => {
    const keeper = await start();
    firmware.order = { boot_order: ['0005', '0001', '0000'], boot_next: null };
    await keeper!.renew();
    expect(await keeper!.restore()).toMatchObject({ restored: [] });
    expect(await (await start())!.restore()).toMatchObject({ restored: [] });
  });

  test('that cannot be put back is named, and the capture is none the worse for it', async () => {
    const keeper = await start();
    firmware.failure = new Error('no space left in NVRAM');
    expect(await keepingBootOrder(keeper, capture)).toMatchObject({ size: 1, boot_entries: { after: null, restored: [], problem: 'no space left in NVRAM' } });
  });
});

describe('there is nothing to keep', () => {
  test('of a machine that boots by BIOS, or whose entries cannot be changed, or are not told', async () => {
    firmware.failure = new Error('EFI variables are not supported on this system.');
    expect(await start('bios')).toBeNull();
    expect(await start('uefi', null)).toBeNull();
    expect(await start('uefi')).toBeNull();
    expect(await keepingBootOrder(null, capture)).toEqual({ size: 1 });
  });
});

describe('what efibootmgr lists', () => {
  test.each<[string, BootOrder]>([
    ['BootCurrent: 0001\nTimeout: 1 seconds\nBootOrder: 0001,0000,00AF\nBoot0000* UiApp\nBoot0001* debian\n', { boot_order: ['0001', '0000', '00AF'], boot_next: null }],
    ['BootNext: 0003\nBootCurrent: 0001\nTimeout: 0 seconds\nBootOrder: 0001\nBoot0001* BootNext: 0009\n', { boot_order: ['0001'], boot_next: '0003' }],
    ['BootCurrent: 0001\nNo BootOrder is set; firmware will attempt recovery\n', { boot_order: null, boot_next: null }],
  ])('%j', (listed, expected) => {
    expect(parseBootOrder(listed)).toEqual(expected);
  });
});
