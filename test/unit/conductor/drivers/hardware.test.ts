import { describe, expect, test } from '@jest/globals';
import { INTERFACE_KINDS } from '../../../../conductor/db/rows.ts';
import { createFakeDeploy } from '../../../../conductor/drivers/deploy/fake.ts';
import { createHardwareRegistry } from '../../../../conductor/drivers/hardware.ts';
import { createFakeSnapshot } from '../../../../conductor/drivers/snapshot/fake.ts';
import { makeNode } from '../../../contract/power/driver-task.ts';

const agentSnapshot = { ...createFakeSnapshot(), name: 'agent', properties: { snapshot_allow_partial: 'Capture a disk that is part of more.' } };
const directDeploy = { ...createFakeDeploy(), name: 'direct', properties: {} };
const registry = (...enabled: string[]): ReturnType<typeof createHardwareRegistry> => createHardwareRegistry({ enabled, services: { agentSnapshot, directDeploy } });
const both = registry('fake-hardware', 'redfish');

describe('hardware types', () => {
  test('are those that the configuration enables; one that does not exist is named', () => {
    expect(both.names()).toEqual(['fake-hardware', 'redfish']);
    expect(registry('redfish').names()).toEqual(['redfish']);
    expect(() => registry('redfish', 'ilo')).toThrow('enabled_hardware_types: "ilo" is not a hardware type; known are fake-hardware, ipmi, redfish');
  });

  test('offer something for every kind of interface, the default among it', () => {
    for (const name of both.names()) {
      const offers = both.interfacesOf(name);
      expect(Object.keys(offers)).toEqual([...INTERFACE_KINDS]);
      for (const offer of Object.values(offers)) expect(offer.enabled).toContain(offer.default);
    }
  });

  test('have the defaults that clients of Ironic know', () => {
    expect(both.resolveInterfaces('fake-hardware', {})).toEqual({
      bios: 'fake', boot: 'fake', console: 'fake', deploy: 'fake', inspect: 'fake', management: 'fake', network: 'noop', power: 'fake', raid: 'fake', rescue: 'fake', snapshot: 'fake', storage: 'noop', vendor: 'fake',
    });
    expect(registry('ipmi').resolveInterfaces('ipmi', {})).toMatchObject({ power: 'ipmitool', management: 'ipmitool', boot: 'ipxe', deploy: 'direct', network: 'noop', snapshot: 'agent' });
    expect(both.resolveInterfaces('redfish', {})).toMatchObject({ power: 'redfish', management: 'redfish', boot: 'ipxe', deploy: 'direct', snapshot: 'agent', console: 'no-console', storage: 'noop' });
  });

  test('what is asked for is kept, and refused in Ironic\'s words when it is not there', () => {
    expect(both.resolveInterfaces('fake-hardware', { snapshot: 'agent' }).snapshot).toBe('agent');
    expect(() => both.resolveInterfaces('nope', {})).toThrow('No valid host was found. Reason: No conductor service registered which supports driver nope for conductor group "".');
    expect(() => registry('fake-hardware').resolveInterfaces('redfish', {}, 'rack-7')).toThrow('supports driver redfish for conductor group "rack-7".');
    expect(() => both.resolveInterfaces('redfish', { power: 'ipmitool' })).toThrow("Could not find the following interface in the 'ironic.hardware.interfaces.power' entrypoint: ipmitool. Valid interfaces are ['fake', 'redfish'].");
    expect(() => both.resolveInterfaces('redfish', { power: 'fake' })).toThrow("power interface implementation 'fake' is not supported by hardware type redfish.");
  });

  test('describe what driver_info may hold', () => {
    expect(Object.keys(both.properties('redfish'))).toEqual(expect.arrayContaining(['redfish_address', 'redfish_password', 'snapshot_allow_partial', 'fake_deploy']));
    expect(Object.keys(registry('ipmi').properties('ipmi'))).toEqual(expect.arrayContaining(['ipmi_address', 'ipmi_password', 'ipmi_cipher_suite']));
    expect(both.properties('fake-hardware')['fake_snapshot']).toMatch(/captures nothing/);
    expect(() => both.properties('nope')).toThrow('Could not find the following driver(s) or hardware type(s): nope.');
    expect(() => both.interfacesOf('nope')).toThrow('nope');
  });

  test('cannot be changed by who asks for them', () => {
    both.interfacesOf('redfish').power.enabled.push('broken');
    expect(both.interfacesOf('redfish').power.enabled).toEqual(['redfish']);
  });
});

describe('the drivers of a node', () => {
  test('are those that it names', () => {
    const interfaces = both.resolveInterfaces('redfish', { snapshot: 'no-snapshot' });
    const { power, management, boot, deploy, snapshot } = both.driversFor(makeNode({ driver: 'redfish', interfaces }));
    expect([power, management, boot, deploy, snapshot].map((driver) => driver.name)).toEqual(['redfish', 'redfish', 'ipxe', 'direct', 'no-snapshot']);
  });

  test('an interface that is not there is an error with kind, value and what is enabled', () => {
    const interfaces = { ...both.resolveInterfaces('redfish', {}), power: 'ipmitool' };
    expect(() => both.driversFor(makeNode({ driver: 'redfish', interfaces }))).toThrow(expect.objectContaining({ code: 'UnsupportedDriverExtension', message: 'power interface "ipmitool" is not available for hardware type redfish; enabled are redfish', data: { kind: 'power', value: 'ipmitool', enabled: ['redfish'] } }));
  });

  test('of a hardware type that is no longer enabled are refused', () => {
    expect(() => registry('fake-hardware').driversFor(makeNode({ driver: 'redfish' }))).toThrow(/which supports driver redfish/);
  });
});
