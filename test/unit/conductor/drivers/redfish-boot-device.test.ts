import { afterEach, describe, expect, test } from '@jest/globals';
import { ENOUGH_MS, failureOf, releaseRedfish, setUpRedfish } from './redfish-rig.ts';

afterEach(releaseRedfish);

describe('the boot device', () => {
  test('is read back as it stands when the BMC ignores "Once"', async () => {
    const { power, management, task } = await setUpRedfish({ ignoresOnce: true });
    await management.setBootDevice(task, 'pxe', false);
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'pxe', persistent: false }); // whoever asked for one boot sees that it is not used up
  });

  test('is set after another look when somebody else changed the system in between', async () => {
    const { bmc, management, task } = await setUpRedfish();
    bmc.faults.push({ method: 'PATCH', does: { status: 412 } });
    await management.setBootDevice(task, 'disk', true);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Hdd', bootEnabled: 'Continuous' });
    expect(bmc.count('PATCH')).toBe(2);
    expect(bmc.count('GET /redfish/v1/Systems/1')).toBe(3); // before, after the refusal, and to see that it is there
  });

  test('fails when the system keeps changing', async () => {
    const { bmc, management, task } = await setUpRedfish();
    bmc.faults.push({ method: 'PATCH', does: { status: 412 }, times: 99 });
    expect((await failureOf(management.setBootDevice(task, 'disk', true))).message).toContain('answered 412');
    expect(bmc.count('PATCH')).toBe(2);
  });

  test('is set on a BMC that gives a weak tag and takes a strong one only', async () => {
    const { bmc, management, task } = await setUpRedfish({ etags: 'weak' });
    await management.setBootDevice(task, 'disk', false);
    expect(bmc.system().bootTarget).toBe('Hdd');
  });

  test('is set without a tag on a BMC that gives none', async () => {
    const { bmc, management, task } = await setUpRedfish({ etags: false });
    await management.setBootDevice(task, 'disk', false);
    expect(bmc.system().bootTarget).toBe('Hdd');
  });

  test('is set for good, and taken as set, on a BMC that makes "Continuous" of "Once"', async () => {
    const { power, management, task } = await setUpRedfish({ once: 'continuous' });
    await management.setBootDevice(task, 'pxe', false);
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'pxe', persistent: true });
  });

  test('is set for good on a BMC that offers nothing else', async () => {
    const { bmc, management, task } = await setUpRedfish({ once: 'not offered' });
    await management.setBootDevice(task, 'disk', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Hdd', bootEnabled: 'Continuous' });
  });

  test('that the BMC accepts and does not show is an error', async () => {
    const { bmc, management, task } = await setUpRedfish({ bootAtSystem: 'ignored' }, { settleMs: 300 });
    expect((await failureOf(management.setBootDevice(task, 'pxe', false))).message).toMatch(/was set to pxe \(Pxe\) and accepted, but 0\.3 s later the BMC shows none/);
    bmc.system().bootTarget = 'Cd';
    bmc.system().bootEnabled = 'Continuous';
    expect((await failureOf(management.setBootDevice(task, 'disk', false))).message).toMatch(/set to disk \(Hdd\) and accepted, but 0\.3 s later the BMC shows Cd/);
  });

  test('may be shown late', async () => {
    const { bmc, management, task } = await setUpRedfish({ bootAtSystem: 'late' });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system().readsUntilShown).toBe(0);
  });

  test('"disk" is reached, too, on a BMC that then shows no override at all', async () => {
    const { bmc, management, task } = await setUpRedfish({ bootAtSystem: 'ignored' }, { settleMs: 100 });
    await management.setBootDevice(task, 'disk', false);
    expect(bmc.count('PATCH')).toBe(1);
  });

  test.each(['refused', 'ignored'] as const)('goes to the settings for the next start where it is %s at the system', async (bootAtSystem) => {
    const { bmc, power, management, task } = await setUpRedfish({ bootAtSystem, settings: true }, { settleMs: 100 });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system().pending).toEqual({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' });
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'pxe', persistent: false });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.system().boots).toEqual(['Pxe']);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: null, persistent: null });
  });

  test('is set at the system itself where that is taken, whatever settings there are', async () => {
    const { bmc, management, task } = await setUpRedfish({ settings: true });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Pxe', pending: {} });
  });

  test('leaves the boot mode as it was, also on a BMC that falls back to another one', async () => {
    const { bmc, management, task } = await setUpRedfish({ modeWhenNotNamed: 'Legacy' });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Pxe', bootEnabled: 'Once', bootMode: 'UEFI' });
  });

  test.each([['boot_mode:bios', 'Legacy'], [{ boot_mode: 'uefi' }, 'UEFI']] as const)('comes with the boot mode that the node declares (%j)', async (capabilities, bootMode) => {
    const { bmc, management, task } = await setUpRedfish({}, {}, {}, { capabilities });
    bmc.system().bootMode = 'Other';
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Pxe', bootMode });
    expect(bmc.count('PATCH')).toBe(1);
  });

  test('is set without a mode on a BMC that does not let the mode be set', async () => {
    const { bmc, management, task } = await setUpRedfish({ refusesMode: true }, {}, {}, { capabilities: 'boot_mode:uefi' });
    await management.setBootDevice(task, 'disk', true);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Hdd', bootEnabled: 'Continuous' });
  });

  test('"safe" is refused with what the BMC supports', async () => {
    const { management, task } = await setUpRedfish();
    expect((await failureOf(management.setBootDevice(task, 'safe', false))).message).toMatch(/Invalid boot device safe specified; BMC .* supports pxe, disk, cdrom, bios\./);
  });
});
