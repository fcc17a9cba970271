import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { DriverTask, ManagementDriver, PowerDriver } from '../../../conductor/drivers/interfaces.ts';

/** A machine under one implementation of power and management; it is off. */
export interface PowerSubject {
  power: PowerDriver;
  management: ManagementDriver;
  task: DriverTask;
  /** The same machine, or its node, with something wrong in what the driver needs. */
  brokenTask: DriverTask;
  /** Where the machine's last start went; without a boot device set that is the disk. Null: there is no machine that could tell. */
  bootedFrom: (() => 'pxe' | 'disk') | null;
  release(): Promise<void>;
}

export interface PowerTraits {
  /** False: what stands between driver and machine (ipmi_sim) hands on a boot device as for the next boot, and never tells which one is set. */
  keepsBootDevices?: boolean;
}

const TIMEOUT_MS = 10_000;
const NOTHING_TOLD = { bootDevice: null, persistent: null };

/** What every implementation of power and management promises to the workflow. @param name the interface value of both. */
export function describePowerContract(name: string, against: string, prepare: () => Promise<PowerSubject>, { keepsBootDevices = true }: PowerTraits = {}): void {
  describe(`power and management by ${name} of ${against}`, () => {
    let subject: PowerSubject;
    beforeEach(async () => {
      subject = await prepare();
    });
    afterEach(async () => {
      await subject.release();
    });

    test('are named as a node names them, and describe what they need', () => {
      expect(subject.power.name).toBe(name);
      expect(subject.management.name).toBe(name);
      for (const description of Object.values({ ...subject.power.properties, ...subject.management.properties })) expect(description).toMatch(/\w+.*\./);
    });

    test('accept a node that is described well and refuse one that is not, naming the property', async () => {
      await expect(subject.power.validate(subject.task)).resolves.toBeUndefined();
      await expect(subject.management.validate(subject.task)).resolves.toBeUndefined();
      await expect(subject.power.validate(subject.brokenTask)).rejects.toMatchObject({ code: 'InvalidParameterValue' });
      await expect(subject.power.validate(subject.brokenTask)).rejects.toThrow(/driver_info/);
    });

    test('power on and off are confirmed by the machine, and asking again is fine', async () => {
      const { power, task } = subject;
      expect(await power.getPowerState(task)).toBe('power off');
      for (const target of ['power off', 'power on', 'power on', 'power off'] as const) {
        await power.setPowerState(task, target, TIMEOUT_MS);
        expect(await power.getPowerState(task)).toBe(target);
      }
    });

    test('a soft power off ends with the machine off, also when it was off before', async () => {
      const { power, task } = subject;
      await power.setPowerState(task, 'power on', TIMEOUT_MS);
      expect(await power.softPowerOff(task, TIMEOUT_MS)).toBe(true);
      expect(await power.getPowerState(task)).toBe('power off');
      expect(await power.softPowerOff(task, TIMEOUT_MS)).toBe(true);
    });

    test('network and disk can be booted from', async () => {
      expect(await subject.management.supportedBootDevices(subject.task)).toEqual(expect.arrayContaining(['pxe', 'disk']));
    });

    test('a boot device for the next boot only is used up by it', async () => {
      const { management, task } = subject;
      await management.setBootDevice(task, 'pxe', false);
      expect(await management.getBootDevice(task)).toEqual(keepsBootDevices ? { bootDevice: 'pxe', persistent: false } : NOTHING_TOLD);
      await startFrom('pxe');
      expect(await management.getBootDevice(task)).toEqual(NOTHING_TOLD);
      await startFrom('disk');
    });

    if (keepsBootDevices) {
      test('a boot device that is set for good stays over a boot, until another one is set', async () => {
        const { management, task } = subject;
        await management.setBootDevice(task, 'pxe', true);
        for (let starts = 0; starts < 2; starts += 1) {
          await startFrom('pxe');
          expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'pxe', persistent: true });
        }
        await management.setBootDevice(task, 'disk', false);
        expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'disk', persistent: false });
      });
    }

    test('the boot device that was set last counts', async () => {
      const { management, task } = subject;
      await management.setBootDevice(task, 'pxe', true);
      await management.setBootDevice(task, 'disk', false);
      await startFrom('disk');
      await management.setBootDevice(task, 'disk', true);
      await management.setBootDevice(task, 'pxe', true);
      await startFrom('pxe');
    });

    test('a boot device that does not exist is refused and changes nothing', async () => {
      const { management, task } = subject;
      await management.setBootDevice(task, 'pxe', true);
      await expect(management.setBootDevice(task, 'floppy' as 'disk', false)).rejects.toMatchObject({ code: 'InvalidParameterValue' });
      expect(await management.getBootDevice(task)).toEqual(keepsBootDevices ? { bootDevice: 'pxe', persistent: true } : NOTHING_TOLD);
      await startFrom('pxe');
    });

    async function startFrom(expected: 'pxe' | 'disk'): Promise<void> {
      const { power, task, bootedFrom } = subject;
      await power.setPowerState(task, 'power off', TIMEOUT_MS);
      await power.setPowerState(task, 'power on', TIMEOUT_MS);
      if (bootedFrom) expect(bootedFrom()).toBe(expected);
    }
  });
}
