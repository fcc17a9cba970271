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
    expect(bmc.count('GET /redfish/v1/Systems/1')).toBe(2);
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

  test('"safe" is refused with what the BMC supports', async () => {
    const { management, task } = await setUpRedfish();
    expect((await failureOf(management.setBootDevice(task, 'safe', false))).message).toMatch(/Invalid boot device safe specified; BMC .* supports pxe, disk, cdrom, bios\./);
  });
});
