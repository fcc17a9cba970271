import { describe, expect, test } from '@jest/globals';
import { BootOverride } from '../../../simulator/boot-override.ts';
import { noFaults } from '../../../simulator/faults.ts';

describe('the boot source override', () => {
  test('without one the machine boots from its own disk', () => {
    expect(new BootOverride().takeForBoot()).toBe('Hdd');
  });

  test('"Once" serves the next boot and is used up by it', () => {
    const override = new BootOverride();
    override.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' }, noFaults());
    expect([override.takeForBoot(), override.takeForBoot()]).toEqual(['Pxe', 'Hdd']);
    expect(override).toMatchObject({ target: 'None', enabled: 'Disabled' });
  });

  test('"Continuous" serves every boot until it is disabled', () => {
    const override = new BootOverride();
    override.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' }, noFaults());
    expect([override.takeForBoot(), override.takeForBoot()]).toEqual(['Pxe', 'Pxe']);
    override.apply({ BootSourceOverrideEnabled: 'Disabled' }, noFaults());
    expect(override.takeForBoot()).toBe('Hdd');
  });

  test('a target alone enables nothing', () => {
    const override = new BootOverride();
    override.apply({ BootSourceOverrideTarget: 'Pxe' }, noFaults());
    expect(override.takeForBoot()).toBe('Hdd');
  });

  test('a BMC that ignores "Once" boots from the network for ever', () => {
    const override = new BootOverride();
    override.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' }, { ...noFaults(), ignores_once: true });
    expect([override.takeForBoot(), override.takeForBoot()]).toEqual(['Pxe', 'Pxe']);
    expect(override.enabled).toBe('Continuous');
  });
});
