import { afterEach, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, nodeInState } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const NODE = '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01';
const POWER = 'PUT /v1/nodes/gold-1/states/power';
const PROVISION = 'PUT /v1/nodes/gold-1/states/provision';

/** Command lines of the stock client and the requests that a real Ironic received from it, as recorded. */
const RECORDED: [string, string, unknown][] = [
  ['driver list', 'GET /v1/drivers', undefined],
  ['driver show fake-hardware -f json', 'GET /v1/drivers/fake-hardware', undefined],
  ['driver list --long -f json', 'GET /v1/drivers/?detail=True', undefined],
  ['conductor list', 'GET /v1/conductors', undefined],
  ['conductor list --long -f json', 'GET /v1/conductors/?detail=True', undefined],
  ['conductor show localhost -f json', 'GET /v1/conductors/localhost', undefined],
  [
    `node create --driver fake-hardware --name gold-1 --uuid ${NODE} --resource-class baremetal --property cpus=4 --property memory_mb=4096 --property local_gb=20 --property cpu_arch=x86_64 --driver-info snapshot_profile=x -f json`,
    'POST /v1/nodes',
    { driver: 'fake-hardware', driver_info: { snapshot_profile: 'x' }, properties: { cpus: 4, memory_mb: 4096, local_gb: 20, cpu_arch: 'x86_64' }, uuid: NODE, name: 'gold-1', resource_class: 'baremetal' },
  ],
  ['node create --driver fake-hardware --name gold-2 -f json', 'POST /v1/nodes', { driver: 'fake-hardware', name: 'gold-2' }],
  ['node list', 'GET /v1/nodes', undefined],
  ['node list --long -f json', 'GET /v1/nodes/detail', undefined],
  ['node list --fields uuid name provision_state power_state maintenance driver_info -f json', 'GET /v1/nodes/?fields=uuid,name,provision_state,power_state,maintenance,driver_info', undefined],
  ['node list --provision-state available -f json', 'GET /v1/nodes/?provision_state=available', undefined],
  ['node list --maintenance', 'GET /v1/nodes/?maintenance=True', undefined],
  ['node list --limit 1 -f json', 'GET /v1/nodes/?limit=1', undefined],
  ['node list --sort name:desc -f json', 'GET /v1/nodes', undefined],
  ['node list --driver fake-hardware --resource-class baremetal', 'GET /v1/nodes/?driver=fake-hardware&resource_class=baremetal', undefined],
  ['node show gold-1 -f json', 'GET /v1/nodes/gold-1', undefined],
  ['node show gold-1 --fields uuid provision_state last_error', 'GET /v1/nodes/gold-1?fields=uuid,provision_state,last_error', undefined],
  [`port create 52:54:00:12:34:56 --node ${NODE} -f json`, 'POST /v1/ports', { address: '52:54:00:12:34:56', node_uuid: NODE }],
  ['port list', 'GET /v1/ports', undefined],
  ['port list --long -f json', 'GET /v1/ports/detail', undefined],
  ['port list --node gold-1', 'GET /v1/ports/?node=gold-1', undefined],
  ['node validate gold-1', 'GET /v1/nodes/gold-1/validate', undefined],
  ['node manage gold-1', PROVISION, { target: 'manage' }],
  ['node provide gold-1', PROVISION, { target: 'provide' }],
  ['node adopt gold-1', PROVISION, { target: 'adopt' }],
  ['node deploy gold-1', PROVISION, { target: 'active' }],
  ['node rebuild gold-1', PROVISION, { target: 'rebuild' }],
  ['node undeploy gold-1', PROVISION, { target: 'deleted' }],
  ['node abort gold-1', PROVISION, { target: 'abort' }],
  ['node clean gold-1 --clean-steps [{"interface":"deploy","step":"erase_devices"}]', PROVISION, { target: 'clean', clean_steps: [{ interface: 'deploy', step: 'erase_devices' }] }],
  ['node power on gold-1', POWER, { target: 'power on' }],
  ['node power off gold-1', POWER, { target: 'power off' }],
  ['node power off gold-1 --soft', POWER, { target: 'soft power off' }],
  ['node reboot gold-1', POWER, { target: 'rebooting' }],
  ['node power on gold-1 --power-timeout 30', POWER, { target: 'power on', timeout: 30 }],
  ['node maintenance set gold-1 --reason testing', 'PUT /v1/nodes/gold-1/maintenance', { reason: 'testing' }],
  ['node maintenance unset gold-1', 'DELETE /v1/nodes/gold-1/maintenance', undefined],
  [
    'node set gold-1 --extra foo=bar --instance-info image_source=http://127.0.0.1/x.img --instance-info root_gb=10 --property capabilities=boot_option:local',
    'PATCH /v1/nodes/gold-1',
    [
      { op: 'add', path: '/properties/capabilities', value: 'boot_option:local' },
      { op: 'add', path: '/extra/foo', value: 'bar' },
      { op: 'add', path: '/instance_info/image_source', value: 'http://127.0.0.1/x.img' },
      { op: 'add', path: '/instance_info/root_gb', value: 10 },
    ],
  ],
  ['node unset gold-1 --extra foo', 'PATCH /v1/nodes/gold-1', [{ op: 'remove', path: '/extra/foo' }]],
  ['node set gold-1 --name gold-1b', 'PATCH /v1/nodes/gold-1', [{ op: 'add', path: '/name', value: 'gold-1b' }]],
  ['node delete gold-2', 'DELETE /v1/nodes/gold-2', undefined],
];

test.each(RECORDED)('"baremetal %s" sends what the stock client sends', async (line, request, body) => {
  service = await ServiceOfTests.start(({ method, path }) => {
    if (method === 'POST') return { status: 201, body: nodeInState('enroll') };
    if (method === 'PUT') return { status: 202 };
    if (method === 'DELETE') return { status: 204 };
    const collection = /^\/v1\/(nodes|ports|drivers|conductors)(\/detail)?(\/?\?.*)?$/.exec(path)?.[1];
    if (collection) return { body: { [collection]: [] } };
    return { body: path.endsWith('/validate') ? { boot: { result: true } } : nodeInState('active') };
  });
  const result = await cli([...line.split(' '), '--os-endpoint', service.url, '--os-baremetal-api-version', '1.78']);
  expect(result.stderr.replace(/^deleted node gold-2\n$/, '')).toBe('');
  expect(result.exitCode).toBe(0);
  expect(service.lines).toEqual([request]);
  expect(service.received[0]?.body).toEqual(body);
  expect(service.received[0]?.version).toBe('1.78');
});
