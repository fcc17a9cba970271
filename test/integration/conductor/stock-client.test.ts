/** The command-line client that Ironic's users have drives this conductor, and through it a machine, as it does with Ironic. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { runProgram } from '../../../protocol/program.ts';
import { requirePackages } from '../../peers/glance.ts';
import { GIB, Rig } from '../../rig/rig.ts';
import { until } from '../../rig/until.ts';
import { emptyDisk } from './empty-disk.ts';

const MAC = '52:54:00:4d:53:00';
const SPARE_MAC = '52:54:00:4d:53:01';
const CLIENT = '/usr/bin/baremetal';
/** Of a client that waits for work of the ramdisk. */
const LIFE_TIMEOUT_MS = 240_000;
/** Each call of the client starts a python that takes seconds where the machine is busy. */
jest.setTimeout(120_000);

let directory: string;
let rig: Rig;
beforeAll(async () => {
  requirePackages({ [CLIENT]: 'python3-ironicclient' });
  directory = await mkdtemp(join(tmpdir(), 'stock-baremetal-'));
  rig = await Rig.start({ disks: [await emptyDisk(directory)], blankDisks: [4 * GIB] }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true });
    throw error;
  });
}, 60_000);
afterAll(async () => {
  await rig.close();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

/** By path, with Debian's python and an environment of its own: neither the machine's clouds nor its caches matter. */
async function run(args: readonly string[], acceptedExitCodes: number[] = [0]): Promise<{ stdout: string; stderr: string }> {
  return runProgram('/usr/bin/python3', [CLIENT, '--os-auth-type', 'none', '--os-endpoint', rig.conductor.apiUrl, ...args], {
    timeoutMs: LIFE_TIMEOUT_MS,
    env: { PATH: '/usr/bin:/bin', HOME: directory, LC_ALL: 'C.UTF-8' },
    cwd: directory,
    acceptedExitCodes,
  });
}
const baremetal = async (...args: string[]): Promise<string> => (await run(args)).stdout;
/** Without the client's own retries of what answers 409. */
const refused = async (...args: string[]): Promise<string> => (await run(['--max-retries', '0', ...args], [1])).stderr;
const json = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => JSON.parse(await baremetal(...args, '-f', 'json')) as T;
const show = (): Promise<Record<string, unknown>> => json('node', 'show', 'server-0');
const powerIs = (state: 'power on' | 'power off'): Promise<unknown> =>
  until(`the node shows ${state}`, async () => {
    const { power_state: found, target_power_state: target, reservation } = await rig.api.node('server-0');
    return found === state && target === null && reservation === null;
  });

describe('the stock baremetal client', () => {
  let uuid: string;

  test('creates a node and its port, and shows no secret of it', async () => {
    const created = await json(
      ...['node', 'create', '--driver', 'redfish', '--boot-interface', 'fake', '--name', 'server-0', '--resource-class', 'metal', '--property', 'cpu_arch=x86_64'],
      ...['--driver-info', `redfish_address=${rig.rack.url}`, '--driver-info', 'redfish_system_id=/redfish/v1/Systems/machine-0', '--driver-info', 'redfish_username=operator', '--driver-info', 'redfish_password=correct horse'],
    );
    uuid = created['uuid'] as string;
    expect(created).toMatchObject({ name: 'server-0', provision_state: 'enroll', driver: 'redfish', power_interface: 'redfish', resource_class: 'metal', properties: { cpu_arch: 'x86_64' }, driver_info: { redfish_password: '******' } });
    expect(await json('port', 'create', MAC.toUpperCase(), '--node', uuid)).toMatchObject({ address: MAC, node_uuid: uuid, pxe_enabled: true });
    expect(await json('port', 'list', '--node', uuid)).toEqual([expect.objectContaining({ Address: MAC })]);
    expect(await refused('port', 'create', MAC, '--node', uuid)).toMatch(/already exists/);
  });

  test('makes it active with manage --wait and adopt --wait, the server untouched', async () => {
    await baremetal('node', 'manage', 'server-0', '--wait', '30');
    expect(await show()).toMatchObject({ provision_state: 'manageable', power_state: 'power on', last_error: null });
    await baremetal('node', 'adopt', 'server-0', '--wait', '30');
    expect(await show()).toMatchObject({ provision_state: 'active', target_provision_state: null, maintenance: false });
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd']);
  });

  test('lists, with fields of its choice and with filters', async () => {
    const [all, chosen, filtered, inMaintenance, shown] = await Promise.all([
      json('node', 'list'),
      json('node', 'list', '--fields', 'uuid', 'driver', 'resource_class'),
      json('node', 'list', '--provision-state', 'active', '--driver', 'redfish', '--long'),
      json('node', 'list', '--maintenance'),
      json('node', 'show', uuid, '--fields', 'name', 'provision_state'),
    ]);
    expect(all).toEqual([{ UUID: uuid, Name: 'server-0', 'Instance UUID': null, 'Power State': 'power on', 'Provisioning State': 'active', Maintenance: false }]);
    expect(chosen).toEqual([{ UUID: uuid, Driver: 'redfish', 'Resource Class': 'metal' }]);
    expect(filtered).toEqual([expect.objectContaining({ UUID: uuid, 'Provisioning State': 'active', 'Driver Info': expect.anything() })]);
    expect(inMaintenance).toEqual([]);
    expect(shown).toEqual({ name: 'server-0', provision_state: 'active' });
  });

  test('sets and unsets name, property, driver and instance information; a bad name is refused', async () => {
    await baremetal('node', 'set', 'server-0', '--name', 'renamed', '--property', 'memory_mb=1024', '--driver-info', 'redfish_verify_ca=False', '--instance-info', 'image_source=x');
    expect(await json('node', 'show', 'renamed')).toMatchObject({ uuid, properties: { cpu_arch: 'x86_64', memory_mb: 1024 }, driver_info: { redfish_verify_ca: 'False', redfish_username: 'operator' }, instance_info: { image_source: 'x' } });
    await baremetal('node', 'unset', 'renamed', '--property', 'memory_mb', '--driver-info', 'redfish_verify_ca', '--instance-info', 'image_source');
    const { properties, driver_info: driverInfo, instance_info: instanceInfo } = await json('node', 'show', 'renamed');
    expect([properties, driverInfo, instanceInfo]).toEqual([{ cpu_arch: 'x86_64' }, expect.not.objectContaining({ redfish_verify_ca: expect.anything() }), {}]);
    await baremetal('node', 'unset', 'renamed', '--name');
    expect(await json('node', 'show', uuid)).toMatchObject({ name: null });
    await baremetal('node', 'set', uuid, '--name', 'server-0');
    const [badName, neverSet] = await Promise.all([refused('node', 'set', uuid, '--name', 'no spaces'), refused('node', 'unset', uuid, '--property', 'never-set')]);
    expect(badName).toMatch(/name: expected letters/);
    expect(neverSet).toMatch(/never-set/);
  });

  test('switches the machine off, on, and restarts it', async () => {
    await baremetal('node', 'power', 'off', 'server-0');
    await powerIs('power off');
    expect(rig.machine().powerState).toBe('Off');
    await baremetal('node', 'power', 'on', 'server-0');
    await powerIs('power on');
    expect(rig.machine().runningFrom).toBe('disk');
    const boots = rig.machine().bootLog.length;
    await baremetal('node', 'reboot', 'server-0');
    await until('the machine has booted again', () => rig.machine().bootLog.length === boots + 1);
    await powerIs('power on');
    await baremetal('node', 'power', 'off', '--soft', 'server-0');
    await powerIs('power off');
    await baremetal('node', 'reboot', '--soft', 'server-0');
    await powerIs('power on');
    expect(await show()).toMatchObject({ power_state: 'power on', last_error: null });
    expect(rig.machine().bootLog.every((boot) => boot.target === 'Hdd')).toBe(true);
  }, 60_000);

  test('sets and ends maintenance, validates, and reads the boot device', async () => {
    await baremetal('node', 'maintenance', 'set', 'server-0', '--reason', 'new fans');
    expect(await show()).toMatchObject({ maintenance: true, maintenance_reason: 'new fans' });
    await baremetal('node', 'maintenance', 'unset', 'server-0');
    expect(await show()).toMatchObject({ maintenance: false, maintenance_reason: null });
    const validated = await json<{ Interface: string; Result: boolean; Reason: string }[]>('node', 'validate', 'server-0');
    expect(validated.filter((line) => ['power', 'management', 'boot', 'deploy'].includes(line.Interface)).map((line) => [line.Interface, line.Result]).sort()).toEqual([['boot', true], ['deploy', true], ['management', true], ['power', true]]);
    await baremetal('node', 'boot', 'device', 'set', 'server-0', 'pxe');
    expect(await json('node', 'boot', 'device', 'show', 'server-0')).toEqual({ boot_device: 'pxe', persistent: false });
    await baremetal('node', 'boot', 'device', 'set', 'server-0', 'disk', '--persistent');
  });

  test('lists drivers, conductors, and the history of the node', async () => {
    const [drivers, driver, conductors, history] = await Promise.all([
      json('driver', 'list'),
      json('driver', 'show', 'redfish'),
      json('conductor', 'list'),
      json<Record<string, string>[]>('node', 'history', 'list', 'server-0', '--long'),
    ]);
    expect(drivers).toEqual([
      { 'Supported driver(s)': 'fake-hardware', 'Active host(s)': 'conductor-of-tests' },
      { 'Supported driver(s)': 'redfish', 'Active host(s)': 'conductor-of-tests' },
    ]);
    expect(driver).toMatchObject({ name: 'redfish', default_power_interface: 'redfish' });
    expect(conductors).toEqual([{ Hostname: 'conductor-of-tests', 'Conductor Group': '', Alive: true }]);
    expect(history.length).toBeGreaterThanOrEqual(4);
    const shown = await json('node', 'history', 'get', 'server-0', history[0]?.['UUID'] ?? '');
    expect(shown).toMatchObject({ uuid: history[0]?.['UUID'], user: 'anonymous', conductor: 'conductor-of-tests' });
  });

  test('deletes an enrolled node; an active one, an unknown one and a bad verb are refused in words', async () => {
    const [deletion, unknown, verb] = await Promise.all([refused('node', 'delete', 'server-0'), refused('node', 'show', 'nobody'), refused('node', 'provide', 'server-0')]);
    expect(deletion).toMatch(/provision state "active"/);
    expect(unknown).toMatch(/nobody could not be found/);
    expect(verb).toMatch(/"provide" can not be performed/);
    await baremetal('node', 'create', '--driver', 'fake-hardware', '--name', 'short-lived');
    await baremetal('node', 'delete', 'short-lived');
    expect(await json('node', 'list', '--fields', 'name')).toEqual([{ Name: 'server-0' }]);
  });
});

describe('the stock baremetal client takes a server through its life', () => {
  const IMAGE = randomBytes(4 * 1024 ** 2);
  let image: string;
  const state = async (): Promise<unknown> => (await json('node', 'show', 'spare', '--fields', 'provision_state'))['provision_state'];
  /** What stands where the image was written. */
  async function written(): Promise<Buffer> {
    const file = await open(rig.disks[1]!.path);
    try {
      return (await file.read(Buffer.alloc(IMAGE.length), 0, IMAGE.length, 0)).buffer;
    } finally {
      await file.close();
    }
  }

  beforeAll(async () => {
    image = await rig.createHolder({ name: 'system', disk_format: 'raw', container_format: 'bare' });
    const { status } = await createHttpClient({ baseURL: rig.conductor.imageUrl, timeoutMs: 30_000 }).put(`/v2/images/${image}/file`, IMAGE, { headers: { 'Content-Type': 'application/octet-stream' } });
    expect(status).toBe(204);
  });

  test('create, port create, manage --wait, provide --wait: cleaned and available', async () => {
    const created = await json(
      ...['node', 'create', '--driver', 'redfish', '--boot-interface', 'fake', '--name', 'spare'],
      ...['--driver-info', `redfish_address=${rig.rack.url}`, '--driver-info', 'redfish_system_id=/redfish/v1/Systems/machine-1', '--driver-info', 'redfish_username=operator', '--driver-info', 'redfish_password=correct horse'],
    );
    const group = await json('port', 'group', 'create', '--node', created['uuid'] as string, '--name', 'bond-of-spare');
    expect(await json('port', 'create', SPARE_MAC, '--node', created['uuid'] as string, '--port-group', group['uuid'] as string)).toMatchObject({ portgroup_uuid: group['uuid'] });
    expect(await json('port', 'group', 'list', '--node', 'spare')).toEqual([{ UUID: group['uuid'], Address: null, Name: 'bond-of-spare' }]);
    await baremetal('node', 'manage', 'spare', '--wait', '60');
    expect(await state()).toBe('manageable');
    await baremetal('node', 'provide', 'spare', '--wait', '180');
    expect(await state()).toBe('available');
  }, LIFE_TIMEOUT_MS);

  test('set, deploy --wait: the image is on its disk and it runs from there', async () => {
    await baremetal('node', 'set', 'spare', '--instance-info', `image_source=${image}`);
    await baremetal('node', 'deploy', 'spare', '--wait', '180');
    expect(await state()).toBe('active');
    expect((await written()).equals(IMAGE)).toBe(true);
    expect(rig.machine(1).runningFrom).toBe('disk');
    expect(await json('node', 'list', '--provision-state', 'active', '--fields', 'name')).toEqual(expect.arrayContaining([{ Name: 'spare' }]));
  }, LIFE_TIMEOUT_MS);

  test('rebuild --wait, undeploy --wait: written anew, then cleaned and available again', async () => {
    await baremetal('node', 'rebuild', 'spare', '--wait', '180');
    expect([await state(), (await written()).equals(IMAGE)]).toEqual(['active', true]);
    await baremetal('node', 'undeploy', 'spare', '--wait', '180');
    expect(await state()).toBe('available');
    expect(rig.machine(1).powerState).toBe('Off');
    expect((await json('node', 'show', 'spare'))['instance_info']).toEqual({});
  }, 2 * LIFE_TIMEOUT_MS);

  test('volume connector and target create, while it is off; VIF attach and detach; history list tells it all', async () => {
    const { uuid } = await json('node', 'show', 'spare', '--fields', 'uuid');
    const connector = await json('volume', 'connector', 'create', '--node', uuid as string, '--type', 'iqn', '--connector-id', 'iqn.2026-01.test:spare');
    const target = await json('volume', 'target', 'create', '--node', uuid as string, '--type', 'iscsi', '--boot-index', '0', '--volume-id', 'v-1');
    await baremetal('volume', 'target', 'set', target['uuid'] as string, '--boot-index', '1');
    expect(await json('volume', 'target', 'list', '--node', 'spare')).toEqual([expect.objectContaining({ UUID: target['uuid'], 'Boot Index': 1 })]);
    await baremetal('volume', 'connector', 'delete', connector['uuid'] as string);
    await baremetal('node', 'vif', 'attach', 'spare', 'net-1');
    await baremetal('node', 'vif', 'detach', 'spare', 'net-1');
    const history = await json<Record<string, string>[]>('node', 'history', 'list', 'spare');
    expect(JSON.stringify(history)).toMatch(/deploy[^]*rebuild[^]*delet/i);
  });
});
