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

  test('takes a disk as a path or with an identity; its hardware is that of a simulated machine', () => {
    const disks = ['/images/a.img', { path: '/images/b.img', serial: 'S', sector_size: 4096 }];
    const [found] = parseRackConfig({ ...valid, machines: [{ ...machine, disks }] }, 'test').machines;
    expect(found!.disks).toEqual([
      { path: '/images/a.img', serial: undefined, wwn: null, model: null, sector_size: 512 },
      { path: '/images/b.img', serial: 'S', wwn: null, model: null, sector_size: 4096 },
    ]);
    expect(found!.hardware).toEqual({ boot_mode: 'bios', disk_driver: 'virtio_blk', interface_driver: 'virtio_net', manufacturer: 'Metalshot', product_name: 'Simulated machine' });
    expect(() => parseRackConfig({ ...valid, machines: [{ ...machine, disks: [{ serial: 'S' }] }] }, 'test')).toThrow(/machines\.0\.disks\.0/);
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
