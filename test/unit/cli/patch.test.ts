import { describe, expect, test } from '@jest/globals';
import { Arguments } from '../../../cli/arguments.ts';
import { patchToSet, patchToUnset } from '../../../cli/commands/node/patch.ts';
import { UsageError } from '../../../cli/exit-code.ts';
import { parseKeyValue } from '../../../cli/key-value.ts';

describe('KEY=VALUE', () => {
  test.each([
    ['a=b', 'a', 'b'],
    ['a=', 'a', ''],
    ['a=b=c', 'a', 'b=c'],
    ['a=4', 'a', 4],
    ['a=1.5', 'a', 1.5],
    ['a=true', 'a', true],
    ['a=True', 'a', 'True'],
    ['a=null', 'a', null],
    ['a="4"', 'a', '4'],
    ['a=0042', 'a', '0042'],
    ['a={"serial": "S1"}', 'a', { serial: 'S1' }],
    ['a=[1, 2]', 'a', [1, 2]],
    ['a={broken', 'a', '{broken'],
    ['root/device=1', 'root/device', 1],
  ])('%s is read as the stock client reads it', (argument, key, value) => {
    expect(parseKeyValue(argument, 'property')).toEqual([key, value]);
  });

  test('a number too large to be exact stays text, and inside an object is refused', () => {
    expect(parseKeyValue('serial=12345678901234567890', 'extra')).toEqual(['serial', '12345678901234567890']);
    expect(() => parseKeyValue('a={"b": [12345678901234567890]}', 'extra')).toThrow(UsageError);
  });

  test.each(['novalue', '=x'])('%s is refused without being repeated', (argument) => {
    expect(() => parseKeyValue(argument, 'extra')).toThrow('--extra expects KEY=VALUE');
  });
});

describe('node set', () => {
  test('makes one patch of all that is given', () => {
    const args = new Arguments({
      name: '42',
      'instance-uuid': 'i-1',
      protected: true,
      'automated-clean': false,
      'power-interface': 'redfish',
      'snapshot-interface': 'agent',
      'reset-boot-interface': true,
      property: ['cpus=16', 'root_device={"serial":"S1"}'],
      'driver-info': ['redfish_password=hunter2'],
    });
    expect(patchToSet(args)).toEqual([
      { op: 'add', path: '/instance_uuid', value: 'i-1' },
      { op: 'add', path: '/name', value: '42' },
      { op: 'add', path: '/protected', value: true },
      { op: 'add', path: '/automated_clean', value: false },
      { op: 'remove', path: '/boot_interface' },
      { op: 'add', path: '/power_interface', value: 'redfish' },
      { op: 'add', path: '/snapshot_interface', value: 'agent' },
      { op: 'add', path: '/properties/cpus', value: 16 },
      { op: 'add', path: '/properties/root_device', value: { serial: 'S1' } },
      { op: 'add', path: '/driver_info/redfish_password', value: 'hunter2' },
    ]);
  });

  test('does not set and reset the same interface', () => {
    expect(() => patchToSet(new Arguments({ 'boot-interface': 'pxe', 'reset-boot-interface': true }))).toThrow(UsageError);
  });

  test('takes the last of an option given twice', () => {
    expect(patchToSet(new Arguments({ name: ['a', 'b'] }))).toEqual([{ op: 'add', path: '/name', value: 'b' }]);
  });
});

test('node unset removes fields and members', () => {
  const args = new Arguments({ name: true, description: true, owner: false, 'deploy-interface': true, extra: ['a', 'b/c'], 'instance-info': ['x'] });
  expect(patchToUnset(args).map((operation) => `${operation.op} ${operation.path}`)).toEqual(['remove /name', 'remove /description', 'remove /deploy_interface', 'remove /extra/a', 'remove /extra/b/c', 'remove /instance_info/x']);
});
