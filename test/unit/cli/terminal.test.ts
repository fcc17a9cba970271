import { afterEach, describe, expect, test } from '@jest/globals';
import { drawTable } from '../../../cli/table.ts';
import { widthOf, wrapText } from '../../../cli/text-width.ts';
import { ServiceOfTests, cli, nodeInState } from './service-of-tests.ts';

let service: ServiceOfTests | undefined;
afterEach(() => service?.stop());

const node = nodeInState('active', {
  driver: 'redfish',
  driver_info: { redfish_address: 'https://10.0.0.5:8443', redfish_username: 'admin', redfish_password: '******', redfish_system_id: '/redfish/v1/Systems/1' },
  boot_interface: 'ipxe',
  instance_info: {},
  description: null,
  created_at: '2026-01-02T03:04:05+00:00',
  driver_internal_info: { operation: { kind: 'rebuild', phase: 'running', step: 'writing', status: 'unfinished', bytes_done: 1024, bytes_total: 4096 } },
});
const show = async (options: Parameters<typeof cli>[1], ...more: string[]) => {
  service = await ServiceOfTests.start(() => ({ body: node }));
  return (await cli(['node', 'show', 'gold-1', '--os-endpoint', service.url, ...more], options)).stdout;
};
const widest = (text: string): number => Math.max(...text.split('\n').map(widthOf));
const firstWords = (text: string): string[] => text.split('\n').flatMap((line) => /^\| (\S+) /.exec(line)?.[1] ?? []);

describe('node show on a terminal', () => {
  test('is in sections: who it is, how it is, what runs on it, how it is driven; what has no value is in one line', async () => {
    const text = await show({ stdoutColumns: 100 });
    expect(firstWords(text)).toEqual(['Field', 'name', 'uuid', 'provision_state', 'power_state', 'maintenance', 'operation', 'driver', 'driver_info', 'driver_internal_info', 'boot_interface', 'created_at', '(without']);
    expect(text).toContain('| (without value)      | description, instance_info, last_error, target_provision_state');
    expect(text.match(/^\+-/gm)).toHaveLength(8);
    expect(text).toContain('| rebuild: running: writing, 1.00 KiB of 4.00 KiB (25 %) ');
  });

  test.each([60, 80, 200])('fits %d columns, with nested values as JSON that reads', async (stdoutColumns) => {
    const text = await show({ stdoutColumns });
    expect(widest(text)).toBeLessThanOrEqual(stdoutColumns);
    if (stdoutColumns < 200) expect(text).toMatch(/^\| +\| {3}"redfish_username": "admin", +\|$/m);
    else expect(text).toContain('{"redfish_address":"https://10.0.0.5:8443",');
    expect(text).not.toContain('\u001b');
  });

  test('is as wide as COLUMNS says', async () => {
    expect(widest(await show({ stdoutColumns: 200, env: { COLUMNS: '70' } }))).toBeLessThanOrEqual(70);
  });

  test('elsewhere it has all fields sorted, unwrapped, whatever COLUMNS says; so it has with -c and --fields', async () => {
    const text = await show({ env: { COLUMNS: '40' } });
    expect(firstWords(text)).toEqual(['Field', ...Object.keys({ ...node, operation: 0 }).filter((field) => field !== 'links').sort()]);
    expect(text).toContain('"redfish_system_id":"/redfish/v1/Systems/1"}');
    await service?.stop();
    expect(firstWords(await show({ stdoutColumns: 80 }, '-c', 'power_state', '-c', 'description'))).toEqual(['Field', 'description', 'power_state']);
  });
});

test('a list fits a terminal: the widest columns are wrapped, narrow ones stay whole', async () => {
  const rows = [{ uuid: '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01', name: 'a-server-with-quite-a-long-name', instance_uuid: null, power_state: 'power on', provision_state: 'snapshot wait', maintenance: false, links: [] }];
  service = await ServiceOfTests.start(() => ({ body: { nodes: rows } }));
  const narrow = (await cli(['node', 'list', '--os-endpoint', service.url], { stdoutColumns: 80 })).stdout;
  expect(widest(narrow)).toBeLessThanOrEqual(80);
  expect(narrow).toContain('| power on ');
  const piped = (await cli(['node', 'list', '--os-endpoint', service.url])).stdout;
  expect(piped).toContain('| 5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01 | a-server-with-quite-a-long-name |');
});

test('a list keeps its words whole on 80 columns', async () => {
  const history = [{ uuid: '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01', created_at: '2026-01-02T03:04:05.678+00:00', severity: 'INFO', event: 'manageable -> cleaning by "provide" after 1.0 s in manageable' }];
  service = await ServiceOfTests.start(() => ({ body: { history } }));
  const text = (await cli(['node', 'history', 'list', 'gold-1', '--os-endpoint', service.url], { stdoutColumns: 80 })).stdout;
  expect(widest(text)).toBeLessThanOrEqual(80);
  for (const word of ['manageable', 'cleaning', 'Description of the event']) expect(text).toContain(word);
  expect(text.trimEnd().split('\n')).toHaveLength(7); // three lines for the event
});

test('a list of more columns than fit has its things below each other, what has no value in one line of each', async () => {
  const rows = ['gold-1', 'gold-2'].map((name) => ({ ...node, name, fault: null, links: [] }));
  service = await ServiceOfTests.start(() => ({ body: { nodes: rows } }));
  const list = ['node', 'list', '--long', '--os-endpoint', service.url];
  const narrow = (await cli(list, { stdoutColumns: 80 })).stdout;
  expect(widest(narrow)).toBeLessThanOrEqual(80);
  expect(narrow).toMatch(/^\| Name +\| gold-1 +\|$/m);
  expect(narrow).toMatch(/^\| Name +\| gold-2 +\|$/m);
  expect(narrow).toMatch(/^\| \(without value\) +\| .*Description/m);
  expect((await cli(list)).stdout.split('\n')[1]).toMatch(/^\| .*Name .*\|$/);
});

test.each([['table', 'there are none\n'], ['json', ''], ['value', '']])('an empty list says so on a terminal, in format %s: %j', async (format, said) => {
  service = await ServiceOfTests.start(() => ({ body: { nodes: [] } }));
  const list = ['node', 'list', '-f', format, '--os-endpoint', service.url];
  expect(await cli(list, { stdoutColumns: 80 })).toMatchObject({ exitCode: 0, stderr: said });
  expect((await cli(list)).stderr).toBe('');
});

describe('text', () => {
  test.each([
    ['one two three', 7, ['one two', 'three']],
    ['not in maintenance.', 14, ['not in', 'maintenance.']],
    ['a word-longer-than-the-line', 8, ['a word-l', 'onger-th', 'an-the-l', 'ine']],
    ['abcdefghij', 4, ['abcd', 'efgh', 'ij']],
    ['a,bbbbb,cc', 7, ['a,bbbbb', ',cc']],
    ['x\ny', 5, ['x', 'y']],
    ['', 5, ['']],
    ['服务器服务器', 6, ['服务器', '服务器']],
  ])('%j in %d cells', (text, width, lines) => {
    expect(wrapText(text, width)).toEqual(lines);
  });

  test('no character is lost when it is wrapped', () => {
    const text = JSON.stringify({ a: 'x'.repeat(50), 'b c': ['y, z', 'https://host/path/to/somewhere'] });
    for (let width = 1; width < 60; width++) expect(wrapText(text, width).join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
  });

  test('wide characters keep the borders of a table straight', () => {
    expect(new Set(drawTable(['Name'], [[['服务器'], ['web-1']]]).split('\n').map(widthOf))).toEqual(new Set([10]));
  });
});
