import { afterEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, nodeInState, type Answerer } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

async function show(answer: Answerer, argv: string[], options = {}) {
  service = await ServiceOfTests.start(answer);
  return cli([...argv, '--os-endpoint', service.url], options);
}

const nodes = [
  { uuid: 'u2', name: 'beta', instance_uuid: null, power_state: 'power on', provision_state: 'active', maintenance: false, links: [] },
  { uuid: 'u1', name: 'alpha', instance_uuid: null, power_state: null, provision_state: 'enroll', maintenance: true, links: [] },
];
const list: Answerer = () => ({ body: { nodes } });

describe('a list', () => {
  test('is a table with the headings of the stock client', async () => {
    expect((await show(list, ['node', 'list'])).stdout).toBe(
      [
        '+------+-------+---------------+-------------+--------------------+-------------+',
        '| UUID | Name  | Instance UUID | Power State | Provisioning State | Maintenance |',
        '+------+-------+---------------+-------------+--------------------+-------------+',
        '| u2   | beta  | None          | power on    | active             | False       |',
        '| u1   | alpha | None          | None        | enroll             | True        |',
        '+------+-------+---------------+-------------+--------------------+-------------+',
        '',
      ].join('\n'),
    );
  });

  test('is JSON with these headings as names', async () => {
    const { stdout } = await show(list, ['node', 'list', '-f', 'json']);
    expect(JSON.parse(stdout)).toEqual([
      { UUID: 'u2', Name: 'beta', 'Instance UUID': null, 'Power State': 'power on', 'Provisioning State': 'active', Maintenance: false },
      { UUID: 'u1', Name: 'alpha', 'Instance UUID': null, 'Power State': null, 'Provisioning State': 'enroll', Maintenance: true },
    ]);
  });

  test('is bare values, one row a line, of the columns asked for by heading or field', async () => {
    expect((await show(list, ['node', 'list', '-fvalue', '-c', 'Provisioning State', '-c', 'name'])).stdout).toBe('beta active\nalpha enroll\n');
  });

  test('is sorted as asked', async () => {
    expect((await show(list, ['node', 'list', '--sort', 'name', '-f', 'value', '-c', 'Name'])).stdout).toBe('alpha\nbeta\n');
    await service.stop();
    expect((await show(list, ['node', 'list', '--sort', 'maintenance:desc,name:asc', '-f', 'value', '-c', 'Name'])).stdout).toBe('alpha\nbeta\n');
    await service.stop();
    expect((await show(list, ['node', 'list', '--sort', 'created_at'])).exitCode).toBe(2);
  });

  test('with --limit is sorted by the service', async () => {
    await show(list, ['node', 'list', '--sort', 'name:desc', '--limit', '5']);
    expect(service.lines).toEqual(['GET /v1/nodes/?limit=5&sort_key=name&sort_dir=desc']);
  });

  test('without rows is empty, and an empty JSON list', async () => {
    expect((await show(() => ({ body: { nodes: [] } }), ['node', 'list'])).stdout).toBe('');
    await service.stop();
    expect((await show(() => ({ body: { nodes: [] } }), ['node', 'list', '-f', 'json'])).stdout).toBe('[]\n');
  });

  test('has every page, reached by path and query of the next link alone', async () => {
    const pages: Answerer = ({ path }) =>
      path.includes('marker')
        ? { body: { nodes: [nodes[1]] } }
        : { body: { nodes: [nodes[0]], next: 'http://elsewhere.invalid:1/prefix/v1/nodes?maintenance=False&limit=1&marker=u2' } };
    const result = await show(pages, ['node', 'list', '--no-maintenance', '-f', 'value', '-c', 'uuid']);
    expect(result.stdout).toBe('u2\nu1\n');
    expect(service.lines).toEqual(['GET /v1/nodes/?maintenance=False', 'GET /v1/nodes?maintenance=False&limit=1&marker=u2']);
  });

  test('with --limit has no more than that, whatever the service sends', async () => {
    const result = await show(() => ({ body: { nodes, next: `${service.url}/v1/nodes?limit=1&marker=u1` } }), ['node', 'list', '--limit', '1', '-f', 'value', '-c', 'uuid']);
    expect(result.stdout).toBe('u2\n');
    expect(service.received).toHaveLength(1);
  });

  test('whose next links go round in a circle ends with an error', async () => {
    const result = await show(() => ({ body: { nodes, next: '/v1/nodes?marker=u1' } }), ['node', 'list']);
    expect(result).toMatchObject({ exitCode: 6, stdout: '' });
  });

  test('has the fields asked for, in their order', async () => {
    const result = await show(() => ({ body: { nodes: [{ uuid: 'u1', driver_info: { a: 1 }, links: [] }] } }), ['node', 'list', '--fields', 'driver_info,uuid', '-f', 'value']);
    expect(result.stdout).toBe('{"a":1} u1\n');
  });
});

describe('one thing', () => {
  const node = nodeInState('active', { extra: { rack: 'r7', slots: [1, 2] }, description: 'x'.repeat(120) });
  const record: Answerer = () => ({ body: node });

  test('is a table of sorted fields, nested ones as compact JSON, without links', async () => {
    const { stdout } = await show(record, ['node', 'show', 'gold-1']);
    expect(stdout).toContain('| extra                  | {"rack":"r7","slots":[1,2]} ');
    expect(stdout).toContain('| maintenance            | False ');
    expect(stdout).not.toContain('links');
    expect(stdout.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split(' ')[1])).toEqual(
      ['Field', 'description', 'driver_internal_info', 'extra', 'last_error', 'maintenance', 'name', 'power_state', 'provision_state', 'target_provision_state', 'uuid'],
    );
  });

  test('fits a terminal', async () => {
    const { stdout } = await show(record, ['node', 'show', 'gold-1'], { stdoutColumns: 70 });
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(70);
    expect(stdout.replace(/[^x]/g, '').replace('extra', '')).toContain('x'.repeat(119));
  });

  test('is a JSON object of the fields as they are', async () => {
    const { links: _links, ...expected } = node;
    expect(JSON.parse((await show(record, ['node', 'show', 'gold-1', '-f', 'json'])).stdout)).toEqual(expected);
  });

  test('is one value for a script; None, True and False as the stock client has them', async () => {
    expect((await show(record, ['node', 'show', 'gold-1', '-f', 'value', '-c', 'maintenance', '-c', 'last_error', '-c', 'extra'])).stdout).toBe('{"rack":"r7","slots":[1,2]}\nNone\nFalse\n');
  });

  test('an unknown column is an error that names the known ones', async () => {
    const result = await show(record, ['node', 'show', 'gold-1', '-c', 'colour']);
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toContain('"colour"');
    expect(result.stderr).toContain('provision_state');
  });

  test('that says how far its snapshot is: in the table, not in data for scripts', async () => {
    const snapshot = { uuid: 's', image_ref: 'i', phase: 'streaming', step: 'converting', status: 'unfinished', bytes_done: 3 * 1024 ** 3, bytes_total: 4 * 1024 ** 3 };
    const streaming: Answerer = () => ({ body: nodeInState('snapshot wait', { driver_internal_info: { snapshot } }) });
    expect((await show(streaming, ['node', 'show', 'gold-1'])).stdout).toContain('| streaming: converting, 3.00 GiB of 4.00 GiB (75 %) ');
    await service.stop();
    expect(JSON.parse((await show(streaming, ['node', 'show', 'gold-1', '-f', 'json'])).stdout)).not.toHaveProperty('snapshot');
  });
});

test('validate shows each interface with its reason, and ends with 0 as the stock client does', async () => {
  const result = await show(() => ({ body: { power: { result: false, reason: 'no address' }, boot: { result: true } } }), ['node', 'validate', 'gold-1', '-f', 'json']);
  expect(result.exitCode).toBe(0);
  expect(JSON.parse(result.stdout)).toEqual([{ Name: 'boot', Result: true, Reason: null }, { Name: 'power', Result: false, Reason: 'no address' }].map(({ Name, ...rest }) => ({ Interface: Name, ...rest })));
});

test('drivers are listed as by the stock client', async () => {
  const drivers = [{ name: 'redfish', hosts: ['a', 'b'], type: 'dynamic', links: [], properties: [] }];
  const { stdout } = await show(() => ({ body: { drivers } }), ['driver', 'list', '-f', 'json']);
  expect(JSON.parse(stdout)).toEqual([{ 'Supported driver(s)': 'redfish', 'Active host(s)': 'a, b' }]);
});

test('debug shows requests without bodies, on stderr', async () => {
  const { stdout, stderr } = await show(() => ({ status: 201, body: nodeInState('enroll') }), ['node', 'create', '--driver', 'x', '--driver-info', 'redfish_password=hunter2', '--debug', '-f', 'value', '-c', 'name']);
  expect(stdout).toBe('gold-1\n');
  expect(stderr).toMatch(/^debug: POST http:\/\/127.0.0.1:\d+\/v1\/nodes: 201 in \d+ ms\n$/);
});
