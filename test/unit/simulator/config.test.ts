import { describe, expect, test } from '@jest/globals';
import { InvalidParameterError } from '../../../protocol/errors.ts';
import { parseRackConfig } from '../../../simulator/config.ts';

const machine = { id: 'a', macs: ['52:54:00:00:00:01'], disks: ['/images/a.img'], agent: { api_url: 'https://127.0.0.1:6386' } };
const valid = { redfish: { username: 'u', password: 'p' }, machines: [machine], run_directory: '/run/rack' };

describe('the configuration of a rack', () => {
  test('has defaults for everything but account, machines and run directory', () => {
    const config = parseRackConfig(valid, 'test');
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 0 });
    expect(config.machines[0]).toMatchObject({ power: 'Off', soft_off_ms: 200, faults: { power_on: 'works', bmc: null } });
    expect(config.agent_command[1]).toMatch(/ramdisk-agent\/main\.js$/);
  });

  test('names every wrong key at once', () => {
    const wrong = { ...valid, run_directory: undefined, machines: [{ ...machine, macs: ['nonsense'], colour: 'red' }] };
    const attempt = (): unknown => parseRackConfig(wrong, 'rack.json');
    expect(attempt).toThrow(InvalidParameterError);
    expect(attempt).toThrow(/rack\.json.*machines\.0\.macs\.0.*colour.*run_directory/s);
  });

  test('refuses two machines of one name', () => {
    expect(() => parseRackConfig({ ...valid, machines: [machine, machine] }, 'test')).toThrow(/the id a occurs twice/);
  });
});
