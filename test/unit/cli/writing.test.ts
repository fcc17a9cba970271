import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { IMAGE, TWIN, startWithImages } from './image-names.ts';
import { VERSIONS, cli, fault, nodeInState, type Answer, type CliOptions, type ReceivedRequest, type ServiceOfTests } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const GIB = 1024 ** 3;
const QUICK = ['--poll-interval', '0.01'];
const PROVISION = 'PUT /v1/nodes/gold-1/states/provision';
const SHA256 = `sha256:${'ab'.repeat(32)}`;

async function start(answer: (request: ReceivedRequest) => Answer): Promise<void> {
  service = await startWithImages(answer);
}
const run = (argv: string[], options: CliOptions = {}) => cli([...argv, '--os-endpoint', service.url, '--os-image-endpoint', service.url], options);
const sent = (method: string) => service.received.filter((request) => request.method === method).map(({ path, body, version }) => ({ path, body, version }));

describe('--image', () => {
  test.each([
    [['node', 'deploy', 'gold-1', '--image', IMAGE], { target: 'deploy', image_ref: IMAGE }],
    [['node', 'rebuild', 'gold-1', '--image', 'golden'], { target: 'rebuild', image_ref: IMAGE }],
    [['node', 'restore', 'gold-1', '--image', 'golden'], { target: 'rebuild', image_ref: IMAGE }],
    [['node', 'deploy', 'gold-1', '--image', 'golden', '--generalize'], { target: 'deploy', image_ref: IMAGE, generalize: true }],
    [['node', 'deploy', 'gold-1', '--image', 'golden', '--generalize', '--hostname', 'web-2'], { target: 'deploy', image_ref: IMAGE, generalize: { hostname: 'web-2' } }],
    [['node', 'deploy', 'gold-1', '--generalize'], { target: 'deploy', generalize: true }],
    [['node', 'deploy', 'gold-1', '--image', IMAGE, '--config-drive', '{"user_data": "x"}'], { target: 'deploy', image_ref: IMAGE, configdrive: { user_data: 'x' } }],
  ])('%j asks for %j at 1.116', async (argv, body) => {
    await start(() => ({ status: 202 }));
    expect(await run(argv)).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(sent('PUT')).toEqual([{ path: PROVISION.slice(4), body, version: '1.116' }]);
  });

  test('a name that two images have is refused with their ids, one that none has as not found; nothing is begun', async () => {
    await start(() => ({ status: 202 }));
    const twins = await run(['node', 'restore', 'gold-1', '--image', 'twin']);
    expect(twins.exitCode).toBe(2);
    expect(twins.stderr).toContain(`${IMAGE}, ${TWIN}`);
    expect((await run(['node', 'restore', 'gold-1', '--image', 'nothing'])).exitCode).toBe(4);
    expect(sent('PUT')).toEqual([]);
  });

  test('is not asked of a service that is too old for it; without it the stock request is sent', async () => {
    await start(({ version }) => (Number(version?.slice(2)) > 82 ? { status: 406, headers: VERSIONS(82), body: { error_message: '{}' } } : { status: 202 }));
    const result = await run(['node', 'restore', 'gold-1', '--image', IMAGE]);
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain('a restore with --image needs API version 1.116');
    expect((await run(['node', 'rebuild', 'gold-1'])).exitCode).toBe(0);
    expect(sent('PUT').at(-1)).toEqual({ path: PROVISION.slice(4), body: { target: 'rebuild' }, version: '1.82' });
  });
});

describe('--image with a URL', () => {
  const BEFORE = { image_source: 'http://old/a.img', image_checksum: '0123', image_disk_format: 'raw', root_gb: 10 };
  const DEPLOY = ['node', 'deploy', 'gold-1', '--image', 'https://x/y.qcow2', '--image-checksum', SHA256];
  const STORED = [
    { op: 'add', path: '/instance_info/image_source', value: 'https://x/y.qcow2' },
    { op: 'add', path: '/instance_info/image_os_hash_algo', value: 'sha256' },
    { op: 'add', path: '/instance_info/image_os_hash_value', value: 'ab'.repeat(32) },
    { op: 'remove', path: '/instance_info/image_disk_format' },
    { op: 'remove', path: '/instance_info/image_checksum' },
  ];
  const withPut = (put: Answer) => ({ method }: ReceivedRequest): Answer => (method === 'PUT' ? put : { body: nodeInState('available', { instance_info: BEFORE }) });

  test('stores it with its digest, in place of all that was said of an earlier image, and then asks as the stock client does', async () => {
    await start(withPut({ status: 202 }));
    expect((await run([...DEPLOY, '--image-format', 'qcow2'])).exitCode).toBe(0);
    expect(sent('PATCH')[0]?.body).toEqual(STORED.map((operation) => (operation.path.endsWith('disk_format') ? { op: 'add', path: operation.path, value: 'qcow2' } : operation)));
    expect(service.lines).toEqual(['GET /v1/nodes/gold-1?fields=instance_info', 'PATCH /v1/nodes/gold-1', PROVISION]);
    expect(sent('PUT')[0]?.body).toEqual({ target: 'active' });
  });

  test('when the verb is refused instance_info is as it was', async () => {
    await start(withPut(fault(400, 'Not in this state.')));
    expect((await run(DEPLOY)).exitCode).toBe(3);
    expect(sent('PATCH').map(({ body }) => body)).toEqual([
      STORED,
      [
        { op: 'add', path: '/instance_info/image_source', value: 'http://old/a.img' },
        { op: 'remove', path: '/instance_info/image_os_hash_algo' },
        { op: 'remove', path: '/instance_info/image_os_hash_value' },
        { op: 'add', path: '/instance_info/image_disk_format', value: 'raw' },
        { op: 'add', path: '/instance_info/image_checksum', value: '0123' },
      ],
    ]);
  });

  test('what is shown masked is never stored: then no image is set, and that is said', async () => {
    const masked = { ...BEFORE, image_source: 'http://old/a.img?******' };
    await start(({ method }) => (method === 'PUT' ? fault(400, 'Not in this state.') : { body: nodeInState('available', { instance_info: masked }) }));
    const result = await run(DEPLOY);
    expect(result.exitCode).toBe(3);
    expect(sent('PATCH')[1]?.body).toEqual(['image_source', 'image_os_hash_algo', 'image_os_hash_value'].map((key) => ({ op: 'remove', path: `/instance_info/${key}` })));
    expect(result.stderr).toMatch(/image_source is shown masked: none is set now[^]*Not in this state/);
  });

  test('a refusal is told also when instance_info can not be put back', async () => {
    let patches = 0;
    await start(({ method }) => (method === 'PUT' ? fault(400, 'Not in this state.') : method === 'PATCH' && ++patches === 2 ? fault(403, 'Not yours.') : { body: nodeInState('available', { instance_info: BEFORE }) }));
    const result = await run(DEPLOY);
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toMatch(/could not be put back and still names the new image: Not yours[^]*baremetal: Not in this state/);
  });

  test('when it is not known whether the verb arrived, instance_info stays: the deployment may need it', async () => {
    await start(withPut({ destroy: true }));
    expect((await run(DEPLOY)).exitCode).toBe(6);
    expect(sent('PATCH')).toHaveLength(1);
  });
});

describe('--wait', () => {
  const view = (more: Record<string, unknown>): Record<string, unknown> => ({
    driver_internal_info: {
      operation: { uuid: 'o-1', kind: 'deploy', phase: 'running', status: 'unfinished', requested_by: 'x', started_at: '', finished_at: null, error: null, image_source: IMAGE, step: null, bytes_done: null, bytes_total: null, disk: null, disk_touched: false, report: null, duration_s: null, ...more },
    },
  });
  const GENERALIZED = [
    { item: 'machine-id', where: '/etc/machine-id', outcome: 'changed', note: '' },
    { item: 'ssh host keys', where: '/etc/ssh', outcome: 'removed', note: 'made anew at the first boot' },
  ];
  const DISK = { name: 'sda', serial: 'S1', wwn: null, model: null, size_bytes: 100 * GIB, sector_size_bytes: 512 };
  const done = nodeInState('active', view({ status: 'done', phase: 'finished', disk: DISK, disk_touched: true, report: { generalized: GENERALIZED }, duration_s: 200 }));
  const DEPLOY = ['node', 'deploy', 'gold-1', '--image', IMAGE, '--generalize', '--wait', ...QUICK];

  async function showing(looks: Record<string, unknown>[], argv: string[], options: CliOptions = {}) {
    let look = 0;
    await start(({ method }) => (method === 'PUT' ? { status: 202 } : { body: looks[Math.min(look++, looks.length - 1)] }));
    return run(argv, options);
  }

  test('shows phases, what the agent does and bytes, and ends with image, disk, duration and what was changed', async () => {
    const writing = (step: string, gib: number) => nodeInState('wait call-back', view({ step, bytes_done: gib * GIB, bytes_total: 4 * GIB }));
    const fetching = nodeInState('deploying', view({ phase: 'fetch image', bytes_done: GIB, bytes_total: 2 * GIB }));
    const { exitCode, stdout, stderr } = await showing([fetching, nodeInState('deploying', view({ phase: 'power on', bytes_done: GIB, bytes_total: 2 * GIB })), writing('writing', 1), writing('generalizing', 4), done], DEPLOY);
    expect([exitCode, stdout]).toEqual([0, '']);
    const lines = stderr.trim().split('\n').map((line) => line.replace(/, [^,]+\/s.*$/, ''));
    expect(lines).toEqual([
      'waiting for node gold-1 to become active',
      'deploy of gold-1: fetch image, 1.00 GiB of 2.00 GiB',
      'deploy of gold-1: power on',
      'deploy of gold-1: running: writing, 1.00 GiB of 4.00 GiB',
      'deploy of gold-1: running: generalizing, 4.00 GiB of 4.00 GiB',
      'deploy of gold-1: active',
      'changed machine-id (/etc/machine-id)',
      'removed ssh host keys (/etc/ssh): made anew at the first boot',
      'deploy of gold-1 done in 3 min 20 s: node gold-1 is active, image 0a1b2c3d-0000-4000-8000-000000000001, disk sda (serial S1, 100 GiB)',
    ]);
  });

  test('draws a bar on a terminal', async () => {
    const { stderr } = await showing([nodeInState('wait call-back', view({ step: 'writing', bytes_done: GIB, bytes_total: 4 * GIB })), done], DEPLOY.map((word) => (word === '0.01' ? '0.25' : word)), { stderrColumns: 100 });
    expect(stderr).toMatch(/\[#+-+\] 25 %/);
  });

  test('with -f json the operation is in the one object at the end', async () => {
    const { stdout } = await showing([done], [...DEPLOY, '-f', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ node: 'gold-1', target: 'deploy', provision_state: 'active', operation: { uuid: 'o-1', disk: DISK, report: { generalized: GENERALIZED } } });
  });

  test.each([
    [false, 'Nothing was written to its disk'],
    [true, 'Its disk was written to: what was on it is lost'],
  ])('a failure says whether the disk was written to: %s', async (disk_touched, sentence) => {
    const failed = nodeInState('deploy failed', { ...view({ status: 'failed', error: 'x', disk_touched }), last_error: 'The digest is another one.' });
    const result = await showing([failed], DEPLOY);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain(`baremetal: the deploy of node gold-1 failed: it is "deploy failed" instead of "active": The digest is another one. ${sentence}`);
  });

  test('what an earlier operation of the node did is not reported as this one', async () => {
    const { stderr } = await showing([nodeInState('active', view({ status: 'done', image_source: TWIN, disk: DISK }))], DEPLOY);
    expect(stderr.trim().split('\n').at(-1)).toBe('node gold-1 is active');
  });

  test('abort waits until nothing is under way, the way back to its own disk included', async () => {
    const back = (boot_back: string) => ({ driver_internal_info: { snapshot: { phase: 'boot back', status: 'failed', boot_back } } });
    const looks = [nodeInState('snapshot wait'), nodeInState('snapshot failed', { reservation: 'c-1' }), nodeInState('snapshot failed', back('pending')), nodeInState('snapshot failed', back('failed')), nodeInState('snapshot failed', back('done'))];
    const { exitCode, stderr } = await showing(looks, ['node', 'abort', 'gold-1', '--wait', ...QUICK]);
    expect(exitCode).toBe(0);
    expect(stderr.trim().split('\n').at(-1)).toBe('node gold-1 is snapshot failed');
    expect(sent('GET')).toHaveLength(looks.length);
  });

  test.each([
    ['waits until the node is active', nodeInState('active'), 0, 'node gold-1 is active'],
    ['fails when the node stays so', nodeInState('snapshot failed', { last_error: 'No power.' }), 1, 'the abort of node gold-1 failed: it is "snapshot failed" instead of "active": No power.'],
  ])('abort of a failed snapshot %s', async (_what, end, exitCode, sentence) => {
    const failed = nodeInState('snapshot failed', { target_provision_state: 'active' });
    const result = await showing([failed, { ...failed, reservation: 'c-1' }, end], ['node', 'abort', 'gold-1', '--wait', ...QUICK]);
    expect(result.exitCode).toBe(exitCode);
    expect(result.stderr).toContain(sentence);
    expect(sent('GET')).toHaveLength(3);
  });

  test('a power change that is not over in time is told with the power state', async () => {
    const result = await showing([nodeInState('active', { target_power_state: 'power off' })], ['node', 'power', 'off', 'gold-1', '--wait', '0.1', ...QUICK]);
    expect(result.exitCode).toBe(7);
    expect(result.stderr).toMatch(/the power off of node gold-1 is not done after .* s: its power state is "power on"\. The power off goes on/);
  });

  test.each([
    [['power', 'off'], 'power off', 0, 'node gold-1: power off'],
    [['reboot'], 'power on', 0, 'node gold-1: power on'],
    [['power', 'on'], 'power off', 1, 'baremetal: the power on of node gold-1 failed: its power state is "power off" instead of "power on": The BMC does not answer.'],
    [['reboot'], 'power on', 1, 'baremetal: the reboot of node gold-1 failed: its power state is "power on": The BMC does not answer.'],
    [['power', 'off'], null, 1, 'its power state is not known instead of "power off": The BMC does not answer.'],
  ])('node %j waits for the power', async (words, end, exitCode, sentence) => {
    const looks = [nodeInState('active', { target_power_state: 'power off' }), nodeInState('active', { power_state: end, target_power_state: null, last_error: exitCode === 0 ? null : 'The BMC does not answer.' })];
    const result = await showing(looks, ['node', ...words, 'gold-1', '--wait', ...QUICK]);
    expect(result.exitCode).toBe(exitCode);
    expect(result.stderr).toContain(sentence);
  });
});

describe('a snapshot into', () => {
  const holder = { id: IMAGE, name: 'today', status: 'queued' };
  const with202 = ({ method }: ReceivedRequest): Answer => (method === 'POST' ? { status: 201, body: holder } : method === 'DELETE' ? { status: 204 } : { status: 202 });

  test('an image given by name', async () => {
    await start(with202);
    expect((await run(['node', 'snapshot', 'gold-1', '--image', 'golden'])).exitCode).toBe(0);
    expect(sent('PUT')[0]?.body).toEqual({ target: 'snapshot', image_ref: IMAGE });
  });

  test('an image that is made for it', async () => {
    await start(with202);
    const { exitCode, stderr } = await run(['node', 'snapshot', 'gold-1', '--create-image', 'today']);
    expect(exitCode).toBe(0);
    expect(service.lines).toEqual(['POST /v2/images', PROVISION]);
    expect(sent('POST')[0]?.body).toEqual({ name: 'today', disk_format: 'qcow2', container_format: 'bare' });
    expect(stderr).toContain(`snapshot of gold-1 into image ${IMAGE} begun`);
  });

  test.each([
    ['is refused', fault(400, 'Not in this state.'), 3, 1],
    ['may have arrived', { destroy: true }, 6, 0],
  ])('an image that is made for a request that %s: it is deleted only when nobody will write into it', async (_how, put, exitCode, deletions) => {
    await start((request) => (request.method === 'PUT' ? put : with202(request)));
    expect((await run(['node', 'snapshot', 'gold-1', '--create-image', 'today'])).exitCode).toBe(exitCode);
    expect(sent('DELETE')).toHaveLength(deletions);
  });

  test('an image that is made for a dry run is deleted again', async () => {
    await start((request) => (request.method === 'PUT' ? { body: { checks: { state: { result: true } } } } : with202(request)));
    expect((await run(['node', 'snapshot', 'gold-1', '--create-image', 'today', '--dry-run'])).exitCode).toBe(0);
    expect(service.lines).toEqual(['POST /v2/images', PROVISION, `DELETE /v2/images/${IMAGE}`]);
  });
});

describe('a config drive', () => {
  test.each([
    ['itself, in base64', 'H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==', 'H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=='],
    ['an object', '{"meta_data": {"a": 1}}', { meta_data: { a: 1 } }],
  ])('is taken as %s', async (_what, drive, expected) => {
    await start(() => ({ status: 202 }));
    await run(['node', 'rebuild', 'gold-1', '--config-drive', drive]);
    expect(sent('PUT')[0]?.body).toEqual({ target: 'rebuild', configdrive: expected });
  });

  test('is read from a file', async () => {
    await start(() => ({ status: 202 }));
    const directory = await mkdtemp(join(tmpdir(), 'cli-drive-'));
    try {
      await writeFile(join(directory, 'drive'), 'H4sIAAAA\n');
      await run(['node', 'rebuild', 'gold-1', '--config-drive', join(directory, 'drive')]);
      expect(sent('PUT')[0]?.body).toEqual({ target: 'rebuild', configdrive: 'H4sIAAAA' });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
