import { afterEach, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, nodeInState } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const NODE = '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01';
const POWER = 'PUT /v1/nodes/gold-1/states/power';
const PROVISION = 'PUT /v1/nodes/gold-1/states/provision';
const RECORD = '23f41881-359d-420a-a216-752b2833404c';
const CONNECTOR = `/v1/volume/connectors/${RECORD}`;
const TARGET = `/v1/volume/targets/${RECORD}`;
const MAC = '52:54:00:00:00:01';
const add = (path: string, value: unknown): unknown => ({ op: 'add', path, value });
const remove = (path: string): unknown => ({ op: 'remove', path });

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
  ['node rebuild gold-1 --config-drive {"meta_data":{"a":1}}', PROVISION, { target: 'rebuild', configdrive: { meta_data: { a: 1 } } }],
  ['node deploy gold-1 --deploy-steps [{"interface":"deploy","step":"x","priority":1}]', PROVISION, { target: 'active', deploy_steps: [{ interface: 'deploy', step: 'x', priority: 1 }] }],
  ['node history list gold-1', 'GET /v1/nodes/gold-1/history', undefined],
  ['node history list gold-1 --long', 'GET /v1/nodes/gold-1/history/detail', undefined],
  [`node history get gold-1 ${RECORD}`, `GET /v1/nodes/gold-1/history/${RECORD}`, undefined],
  ['node trait list gold-1', 'GET /v1/nodes/gold-1/traits', undefined],
  ['node add trait gold-1 CUSTOM_A', 'PUT /v1/nodes/gold-1/traits/CUSTOM_A', undefined],
  ['node remove trait gold-1 CUSTOM_A', 'DELETE /v1/nodes/gold-1/traits/CUSTOM_A', undefined],
  ['node remove trait gold-1 --all', 'DELETE /v1/nodes/gold-1/traits', undefined],
  ['node boot device set gold-1 pxe', 'PUT /v1/nodes/gold-1/management/boot_device', { boot_device: 'pxe', persistent: false }],
  ['node boot device set gold-1 disk --persistent', 'PUT /v1/nodes/gold-1/management/boot_device', { boot_device: 'disk', persistent: true }],
  ['node boot device show gold-1', 'GET /v1/nodes/gold-1/management/boot_device', undefined],
  ['node boot device show gold-1 --supported', 'GET /v1/nodes/gold-1/management/boot_device/supported', undefined],
  ['node vif list gold-1', 'GET /v1/nodes/gold-1/vifs', undefined],
  [`node vif attach gold-1 vif-1 --port-uuid ${RECORD} --vif-info a=1`, 'POST /v1/nodes/gold-1/vifs', { id: 'vif-1', a: 1, port_uuid: RECORD }],
  ['node vif detach gold-1 vif-1', 'DELETE /v1/nodes/gold-1/vifs/vif-1', undefined],
  [
    `volume connector create --node ${NODE} --type iqn --connector-id iqn.2017-07.org.example:1 --extra a=1`,
    'POST /v1/volume/connectors',
    { node_uuid: NODE, type: 'iqn', connector_id: 'iqn.2017-07.org.example:1', extra: { a: 1 } },
  ],
  ['volume connector list', 'GET /v1/volume/connectors', undefined],
  ['volume connector list --long', 'GET /v1/volume/connectors/?detail=True', undefined],
  ['volume connector list --node gold-1 --limit 5', 'GET /v1/volume/connectors/?limit=5&node=gold-1', undefined],
  ['volume connector list --fields uuid type', 'GET /v1/volume/connectors/?fields=uuid,type', undefined],
  [`volume connector show ${RECORD}`, `GET ${CONNECTOR}`, undefined],
  [`volume connector show ${RECORD} --fields uuid type`, `GET ${CONNECTOR}?fields=uuid,type`, undefined],
  [`volume connector set ${RECORD} --type ip --connector-id 10.0.0.1 --extra a=1`, `PATCH ${CONNECTOR}`, [add('/type', 'ip'), add('/connector_id', '10.0.0.1'), add('/extra/a', 1)]],
  [`volume connector unset ${RECORD} --extra a`, `PATCH ${CONNECTOR}`, [remove('/extra/a')]],
  [`volume connector delete ${RECORD}`, `DELETE ${CONNECTOR}`, undefined],
  [
    `volume target create --node ${NODE} --type iscsi --boot-index 0 --volume-id v-1 --property a=1 --extra b=x`,
    'POST /v1/volume/targets',
    { node_uuid: NODE, volume_type: 'iscsi', properties: { a: 1 }, boot_index: 0, volume_id: 'v-1', extra: { b: 'x' } },
  ],
  ['volume target list', 'GET /v1/volume/targets', undefined],
  ['volume target list --node gold-1', 'GET /v1/volume/targets/?node=gold-1', undefined],
  [`volume target show ${RECORD}`, `GET ${TARGET}`, undefined],
  [
    `volume target set ${RECORD} --type fibre_channel --boot-index 1 --volume-id v-2 --property a=1 --extra b=x`,
    `PATCH ${TARGET}`,
    [add('/volume_type', 'fibre_channel'), add('/boot_index', 1), add('/volume_id', 'v-2'), add('/properties/a', 1), add('/extra/b', 'x')],
  ],
  [`volume target unset ${RECORD} --property a --extra b`, `PATCH ${TARGET}`, [remove('/extra/b'), remove('/properties/a')]],
  [`volume target delete ${RECORD}`, `DELETE ${TARGET}`, undefined],
  [
    `port set ${RECORD} --address ${MAC} --extra a=1 --port-group ${NODE} --local-link-connection port_id=Eth1 --pxe-disabled --physical-network net1 --is-smartnic`,
    `PATCH /v1/ports/${RECORD}`,
    [add('/address', MAC), add('/extra/a', 1), add('/portgroup_uuid', NODE), add('/local_link_connection/port_id', 'Eth1'), add('/pxe_enabled', false), add('/physical_network', 'net1'), add('/is_smartnic', true)],
  ],
  [`port set ${RECORD} --pxe-enabled --node ${NODE}`, `PATCH /v1/ports/${RECORD}`, [add('/node_uuid', NODE), add('/pxe_enabled', true)]],
  [`port unset ${RECORD} --extra a --port-group --physical-network --is-smartnic`, `PATCH /v1/ports/${RECORD}`, [remove('/extra/a'), remove('/portgroup_uuid'), remove('/physical_network'), add('/is_smartnic', false)]],
  [
    `port group create --node ${NODE} --address ${MAC} --name bond0 --mode 802.3ad --property miimon=100 --extra a=1 --unsupport-standalone-ports`,
    'POST /v1/portgroups',
    { node_uuid: NODE, address: MAC, name: 'bond0', extra: { a: 1 }, mode: '802.3ad', properties: { miimon: 100 }, standalone_ports_supported: false },
  ],
  [`port group create --node ${NODE} --support-standalone-ports`, 'POST /v1/portgroups', { node_uuid: NODE, standalone_ports_supported: true }],
  ['port group list', 'GET /v1/portgroups', undefined],
  ['port group list --long', 'GET /v1/portgroups/detail', undefined],
  [`port group list --node gold-1 --address ${MAC}`, `GET /v1/portgroups/?address=${MAC}&node=gold-1`, undefined],
  ['port group show bond0 --fields uuid mode', 'GET /v1/portgroups/bond0?fields=uuid,mode', undefined],
  [`port group show --address ${MAC}`, `GET /v1/portgroups/detail?address=${MAC}`, undefined],
  [
    `port group set bond0 --name bond1 --address ${MAC} --mode 1 --property miimon=100 --extra a=1 --support-standalone-ports`,
    'PATCH /v1/portgroups/bond0',
    [add('/address', MAC), add('/name', 'bond1'), add('/standalone_ports_supported', true), add('/mode', '1'), add('/extra/a', 1), add('/properties/miimon', 100)],
  ],
  ['port group unset bond0 --name --address --extra a --property miimon', 'PATCH /v1/portgroups/bond0', [remove('/address'), remove('/name'), remove('/extra/a'), remove('/properties/miimon')]],
  ['port group delete bond0', 'DELETE /v1/portgroups/bond0', undefined],
  ['driver property list fake-hardware', 'GET /v1/drivers/fake-hardware/properties', undefined],
  ['node list --unassociated --retired', 'GET /v1/nodes/?associated=False&retired=True', undefined],
  [`node list --no-maintenance --limit 3 --marker ${NODE}`, `GET /v1/nodes/?limit=3&marker=${NODE}&maintenance=False`, undefined],
  ['node list --fault power --owner o --lessee l --description-contains x', 'GET /v1/nodes/?fault=power&owner=o&lessee=l&description_contains=x', undefined],
  [
    'node set gold-1 --driver redfish --reset-interfaces --boot-interface ipxe --owner o --lessee l --protected --protected-reason keep --retired --retired-reason old --description text',
    'PATCH /v1/nodes/gold-1?reset_interfaces=True',
    [add('/driver', 'redfish'), add('/protected', true), add('/protected_reason', 'keep'), add('/retired', true), add('/retired_reason', 'old'), add('/owner', 'o'), add('/lessee', 'l'), add('/description', 'text'), add('/boot_interface', 'ipxe')],
  ],
  ['node set gold-1 --network-data {"links":[]}', 'PATCH /v1/nodes/gold-1', [add('/network_data', { links: [] })]],
  ['node unset gold-1 --name --owner --protected --network-data --boot-interface', 'PATCH /v1/nodes/gold-1', [remove('/name'), remove('/protected'), remove('/owner'), remove('/network_data'), remove('/boot_interface')]],
];

/** The order of a query's parts and of operations on different fields means nothing. */
const orderless = (line: string, body: unknown): unknown[] => {
  const [path = '', query = ''] = line.split('?');
  return [path, query.split('&').sort(), Array.isArray(body) ? body.map((operation) => JSON.stringify(operation)).sort() : body];
};

test.each(RECORDED)('"baremetal %s" sends what the stock client sends', async (line, request, body) => {
  service = await ServiceOfTests.start(({ method, path }) => {
    if (method === 'POST') return { status: 201, body: nodeInState('enroll') };
    if (method === 'PUT') return { status: 202 };
    if (method === 'DELETE') return { status: 204 };
    const collection = /\/(nodes|ports|drivers|conductors|history|traits|vifs|connectors|targets|portgroups)(\/detail)?(\/?\?.*)?$/.exec(path)?.[1];
    if (collection) return { body: { [collection]: path.includes('address=') && path.includes('detail') ? [{ uuid: RECORD }] : [] } };
    return { body: path.endsWith('/validate') ? { boot: { result: true } } : nodeInState('active') };
  });
  const result = await cli([...line.split(' '), '--os-endpoint', service.url, '--os-baremetal-api-version', '1.78']);
  expect(result.stderr.replace(/^(deleted|added|removed) .*\n$/, '')).toBe('');
  expect(result.exitCode).toBe(0);
  expect(service.received).toHaveLength(1);
  expect(orderless(service.lines[0] ?? '', service.received[0]?.body)).toEqual(orderless(request, body));
  expect(service.received[0]?.version).toBe('1.78');
});
