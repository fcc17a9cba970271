import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startConductor } from '../../../conductor/app.ts';
import { parseConfig } from '../../../conductor/config.ts';
import { createLogger } from '../../../protocol/log.ts';
import { startIpmiSim, type IpmiSimRig } from '../../contract/power/ipmi-sim-rig.ts';
import { BaremetalApi, type NodeView } from '../../rig/baremetal-api.ts';
import { processOf } from '../../rig/processes.ts';
import { until } from '../../rig/until.ts';

const releases: (() => Promise<void>)[] = [];
let sim: IpmiSimRig;
let api: BaremetalApi;
beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-ipmi-manage-'));
  releases.unshift(() => rm(directory, { recursive: true, force: true }));
  sim = await startIpmiSim();
  releases.unshift(() => sim.release());
  const config = parseConfig({ state_directory: directory, enabled_hardware_types: ['ipmi'], api: { port: 0 }, provisioning: { port: 0, tls: 'none' }, image_service: { embedded: { port: 0 } }, conductor: { power_sync_interval_s: 0.5, power_sync_attempts: 2 }, ipmi: { command_retry_timeout_s: 0.5 } }, 'the test');
  const conductor = await startConductor(config, createLogger('conductor', 'silent'));
  releases.unshift(() => conductor.close());
  api = new BaremetalApi(conductor.urls.api);
});
afterAll(async () => {
  for (const release of releases) await release();
});

async function enrol(driverInfo: Record<string, unknown>): Promise<string> {
  const node = await api.expect(201, 'POST', '/v1/nodes', { driver: 'ipmi', boot_interface: 'fake', driver_info: driverInfo });
  return node['uuid'] as string;
}

describe('a server with an IPMI BMC', () => {
  test('is managed, switched on and off, and has its boot device set; its password is not shown', async () => {
    const uuid = await enrol(sim.driverInfo);
    await api.demand(uuid, 'manage');
    const node = await api.settled(uuid, 'manageable');
    expect(node).toMatchObject({ power_state: 'power off', power_interface: 'ipmitool', management_interface: 'ipmitool', driver_info: { ipmi_password: '******' } });
    await api.expect(204, 'PUT', `/v1/nodes/${uuid}/management/boot_device`, { boot_device: 'pxe', persistent: false });
    expect(sim.machine.bootOverride).toMatchObject({ target: 'Pxe', enabled: 'Once' });
    expect(await api.expect(200, 'GET', `/v1/nodes/${uuid}/management/boot_device/supported`)).toEqual({ supported_boot_devices: ['pxe', 'disk', 'cdrom', 'bios', 'safe'] });
    await api.expect(202, 'PUT', `/v1/nodes/${uuid}/states/power`, { target: 'power on' });
    expect(await api.settled(uuid, 'manageable')).toMatchObject({ power_state: 'power on', last_error: null });
    expect(sim.machine.bootLog.at(-1)?.target).toBe('Pxe');
  });

  test.each([
    ['a wrong password', { ipmi_password: 'secret-1' }, /check ipmi_password/],
    ['a wrong user name', { ipmi_username: 'nobody' }, /check ipmi_username/],
    ['no address', { ipmi_address: '' }, /\['ipmi_address'\]/],
  ])('and %s is back in enroll after "manage", with an error that names the property', async (_, wrong, message) => {
    const uuid = await enrol({ ...sim.driverInfo, ...wrong });
    await api.demand(uuid, 'manage');
    const node = await api.settled(uuid, 'enroll');
    expect(node.last_error).toMatch(message);
    expect(JSON.stringify(node)).not.toContain('secret-1');
  });

  test('whose BMC stops answering is in maintenance with a fault after a few rounds, and back by itself when it answers again', async () => {
    const uuid = await enrol(sim.driverInfo);
    await api.demand(uuid, 'manage');
    await api.settled(uuid, 'manageable');
    const bmc = await processOf('ipmi_sim', 'lan.conf');
    process.kill(bmc.pid, 'SIGSTOP');
    try {
      const broken = await until('the node is in maintenance', async () => nodeWhen(uuid, true), 90_000);
      expect(broken).toMatchObject({ fault: 'power failure', maintenance_reason: expect.stringMatching(/2 times in a row.*BMC 127\.0\.0\.1:\d+, chassis power status: .*does not answer/s) });
    } finally {
      process.kill(bmc.pid, 'SIGCONT');
    }
    expect(await until('the node is back', async () => nodeWhen(uuid, false), 90_000)).toMatchObject({ fault: null, last_error: null });
  }, 240_000);
});

const nodeWhen = async (uuid: string, maintenance: boolean): Promise<NodeView | null> => {
  const node = await api.node(uuid);
  return node['maintenance'] === maintenance && node.reservation === null ? node : null;
};
