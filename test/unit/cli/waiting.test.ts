import { afterEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, fault, nodeInState, type Answer, type CliOptions } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const IMAGE = '0a1b2c3d-0000-4000-8000-000000000001';
const GIB = 1024 ** 3;
const QUICK = ['--poll-interval', '0.01'];

/** Accepts every verb, then shows the given looks at the node one after the other; the last one stays. */
async function showing(looks: Record<string, unknown>[], argv: string[], options: CliOptions = {}) {
  let look = 0;
  service = await ServiceOfTests.start(({ method }): Answer => (method === 'PUT' ? { status: 202 } : { body: looks[Math.min(look++, looks.length - 1)] }));
  return cli([...argv, '--os-endpoint', service.url], options);
}

const view = (more: Record<string, unknown>): Record<string, unknown> => ({
  driver_internal_info: {
    snapshot: { uuid: 's-1', image_ref: IMAGE, phase: 'streaming', status: 'unfinished', requested_by: 'x', started_at: '', finished_at: null, error: null, step: null, bytes_done: null, bytes_total: null, size_bytes: null, os_hash_algo: null, os_hash_value: null, duration_s: null, downtime_s: null, boot_back: 'pending', ...more },
  },
});
const streaming = (done: number, step = 'converting'): Record<string, unknown> => nodeInState('snapshot wait', view({ step, bytes_done: done * GIB, bytes_total: 4 * GIB }));
const DIGEST = 'ab'.repeat(64);
const done = nodeInState('active', view({ phase: 'finished', status: 'done', size_bytes: 1_234_567_890, os_hash_algo: 'sha512', os_hash_value: DIGEST, duration_s: 41.5, downtime_s: 38.25, boot_back: 'done' }));
const failed = nodeInState('snapshot failed', { ...view({ phase: 'boot back', status: 'failed', error: 'the share ran full', boot_back: 'done' }), last_error: 'The share ran full: 10 GiB are needed.' });

describe('--wait', () => {
  test.each([
    ['manage', ['enroll', 'verifying', 'manageable']],
    ['provide', ['manageable', 'cleaning', 'clean wait', 'available']],
    ['adopt', ['manageable', 'adopting', 'active']],
    ['deploy', ['available', 'deploying', 'wait call-back', 'active']],
    ['rebuild', ['deploying', 'active']],
    ['undeploy', ['deleting', 'cleaning', 'available']],
  ])('%s returns when the node is there', async (word, states) => {
    const looks = states.slice(states.length > 2 ? 1 : 0).map((state) => nodeInState(state));
    const { exitCode, stdout, stderr } = await showing(looks, ['node', word, 'gold-1', '--wait', ...QUICK]);
    expect([exitCode, stdout]).toEqual([0, '']);
    expect(stderr.trim().split('\n').at(-1)).toBe(`node gold-1 is ${states.at(-1)}`);
    expect(service.received).toHaveLength(1 + looks.length);
  });

  test('a failure state ends it with 1 and the last error', async () => {
    const looks = [nodeInState('adopting'), nodeInState('adopt failed', { last_error: 'No such BMC.' })];
    const result = await showing(looks, ['node', 'adopt', 'gold-1', '--wait', ...QUICK]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('baremetal: the adopt of node gold-1 failed: it is "adopt failed" instead of "active": No such BMC.');
  });

  test('so does a state in which nothing is under way: a node that cannot be verified goes back to enroll', async () => {
    const result = await showing([nodeInState('verifying'), nodeInState('enroll', { last_error: 'Wrong password.' })], ['node', 'manage', 'gold-1', '--wait', ...QUICK]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('"enroll" instead of "manageable": Wrong password.');
  });

  test('the time limit ends it with 7, and the operation goes on', async () => {
    const result = await showing([nodeInState('deploying')], ['node', 'deploy', 'gold-1', '--wait', '0.2', ...QUICK]);
    expect(result).toMatchObject({ exitCode: 7, stdout: '' });
    expect(result.stderr).toMatch(/node gold-1 is not active after .* s: it is "deploying"\. The deploy goes on: see "baremetal node show gold-1"/);
  });

  test('the time limit holds although a request hangs', async () => {
    service = await ServiceOfTests.start(({ method }) => (method === 'PUT' ? { status: 202 } : { hang: true }));
    const result = await cli(['node', 'deploy', 'gold-1', '--wait', '0.2', '--os-endpoint', service.url]);
    expect(result.exitCode).toBe(7);
  });

  test('a node that is deleted meanwhile ends it with 4', async () => {
    service = await ServiceOfTests.start(({ method }) => (method === 'PUT' ? { status: 202 } : fault(404, 'Node gold-1 could not be found.')));
    expect((await cli(['node', 'deploy', 'gold-1', '--wait', '--os-endpoint', service.url])).exitCode).toBe(4);
  });

  test('a short absence of the service does not', async () => {
    let cuts = 2;
    service = await ServiceOfTests.start(({ method }) => (method === 'PUT' ? { status: 202 } : cuts-- > 0 ? { destroy: true } : { body: nodeInState('active') }));
    expect((await cli(['node', 'deploy', 'gold-1', '--wait', '--os-endpoint', service.url])).exitCode).toBe(0);
  });

  test('with -f json there is one object on stdout, however it ends', async () => {
    const { stdout, exitCode } = await showing([nodeInState('adopt failed', { last_error: 'No such BMC.' })], ['node', 'adopt', 'gold-1', '--wait', '-f', 'json', ...QUICK]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ node: 'gold-1', target: 'adopt', provision_state: 'adopt failed', last_error: 'No such BMC.' });
  });
});

describe('node snapshot', () => {
  const SNAPSHOT = ['node', 'snapshot', 'gold-1', '--image', IMAGE];

  test('asks for it and returns; says how to look and how to stop', async () => {
    const result = await showing([], SNAPSHOT);
    expect(result).toMatchObject({ exitCode: 0, stdout: '' });
    expect(result.stderr).toContain('baremetal node abort gold-1');
    expect(service.received.map(({ method, path, body, version }) => [method, path, body, version])).toEqual([['PUT', '/v1/nodes/gold-1/states/provision', { target: 'snapshot', image_ref: IMAGE }, '1.116']]);
  });

  test('--wait --f json ends with one object: image, size, digest, duration, downtime', async () => {
    const { exitCode, stdout } = await showing([nodeInState('snapshotting', view({ phase: 'quiesce' })), streaming(1), done], [...SNAPSHOT, '--wait', '-f', 'json', ...QUICK]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      node: 'gold-1', node_uuid: done.uuid, provision_state: 'active', image_ref: IMAGE, snapshot_uuid: 's-1', status: 'done', phase: 'finished',
      size_bytes: 1_234_567_890, os_hash_algo: 'sha512', os_hash_value: DIGEST, duration_s: 41.5, downtime_s: 38.25, method: null, predicted_capture_s: null, boot_back: 'done', last_error: null,
    });
  });

  test('--wait ends with these as a table, and a sentence with the downtime', async () => {
    const { stdout, stderr } = await showing([done], [...SNAPSHOT, '--wait', ...QUICK]);
    for (const fact of [IMAGE, '1234567890', DIGEST, '41.5', '38.25']) expect(stdout).toContain(fact);
    expect(stderr).toContain(`snapshot of gold-1 done in 41 s: image ${IMAGE}, 1.15 GiB; the server was down for 38 s`);
  });

  test('away from a terminal a line says when the phase changes and each tenth of its bytes', async () => {
    const looks = [nodeInState('snapshotting', view({ phase: 'quiesce' })), nodeInState('snapshotting', view({ phase: 'quiesce' })), streaming(0), streaming(0.1), streaming(0.42), streaming(4), streaming(0, 'uploading'), done];
    const { stderr, stdout } = await showing(looks, [...SNAPSHOT, '--wait', '-f', 'value', '-c', 'status', ...QUICK]);
    expect(stdout).toBe('done\n');
    const lines = stderr.trim().split('\n').map((line) => line.replace(/, [^,]+\/s.*$/, ''));
    expect(lines.slice(0, -1)).toEqual([
      'snapshot of gold-1: quiesce',
      'snapshot of gold-1: streaming: converting, 0 B of 4.00 GiB',
      'snapshot of gold-1: streaming: converting, 430 MiB of 4.00 GiB',
      'snapshot of gold-1: streaming: converting, 4.00 GiB of 4.00 GiB',
      'snapshot of gold-1: streaming: uploading, 0 B of 4.00 GiB',
      'snapshot of gold-1: active',
    ]);
    expect(stderr).not.toContain('\u001b');
  });

  test('on a terminal a bar is drawn, and its line is free again at the end', async () => {
    const { stderr, stdout } = await showing([streaming(1), streaming(2), done], [...SNAPSHOT, '--wait', '--poll-interval', '0.25'], { stderrColumns: 100 });
    expect(stderr).toMatch(/\[#+-+\] \d+ %/);
    expect(stderr).toContain('streaming: converting');
    expect(stderr.trimEnd().split('\u001b').at(-1)).toMatch(/snapshot of gold-1 done/);
    expect(stdout).not.toContain('\u001b');
  });

  test.each([60, 80])('on a terminal of %d columns the bar gives way to the numbers', async (stderrColumns) => {
    const { stderr } = await showing([streaming(1), streaming(2), done], [...SNAPSHOT, '--wait', '--poll-interval', '0.25'], { stderrColumns });
    const drawn = stderr.split('\u001b').map((part) => part.replace(/^\[[0-9]*[A-Z]/, '')).filter((line) => line.includes('streaming: converting'));
    for (const line of drawn) expect(line.length).toBeLessThan(stderrColumns);
    expect(drawn.at(-1)).toMatch(stderrColumns === 80 ? /streaming: converting .*\d+ % .*of 4\.00 GiB .*\/s .*left$/ : /streaming: converting .*\d+ % .*of 4\.00 GiB/);
  });

  test('a failed one ends with 1, its reason, and where the server is', async () => {
    const result = await showing([streaming(1), failed], [...SNAPSHOT, '--wait', ...QUICK]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('baremetal: the snapshot of node gold-1 failed: it is "snapshot failed" instead of "active": The share ran full: 10 GiB are needed. The server runs from its own disk again');
  });

  test('a failed one with -f json says the same in one object', async () => {
    const { stdout, exitCode } = await showing([failed], [...SNAPSHOT, '--wait', '-f', 'json', ...QUICK]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'failed', provision_state: 'snapshot failed', last_error: 'The share ran full: 10 GiB are needed.', boot_back: 'done' });
  });

  test.each([
    ['was aborted', view({ status: 'failed', error: 'aborted by request of x' }), 'aborted by request of x'],
    ['is another one', view({ status: 'done', image_ref: 'f0000000-0000-4000-8000-000000000002' }), 'the service says nothing about it'],
    ['is not known', {}, 'the service says nothing about it'],
  ])('a node that is active again although the snapshot %s is no success', async (_what, more, reason) => {
    const result = await showing([nodeInState('active', more)], [...SNAPSHOT, '--wait', ...QUICK]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain(reason);
  });

  test('the time limit ends the waiting with 7, says how far it is and how to stop it', async () => {
    const result = await showing([streaming(3)], [...SNAPSHOT, '--wait', '0.2', ...QUICK]);
    expect(result).toMatchObject({ exitCode: 7, stdout: '' });
    expect(result.stderr).toMatch(/it is "snapshot wait" \(streaming: converting, 3\.00 GiB of 4\.00 GiB \(75 %\)\)\. The snapshot goes on: .*baremetal node abort gold-1/);
  });

  test('Ctrl-C ends the waiting with 130 and leaves the snapshot alone', async () => {
    const interrupt = new AbortController();
    let looks = 0;
    service = await ServiceOfTests.start(({ method }) => {
      if (method === 'PUT') return { status: 202 };
      if (++looks === 3) interrupt.abort();
      return { body: streaming(1) };
    });
    const result = await cli([...SNAPSHOT, '--wait', ...QUICK, '--os-endpoint', service.url], { interrupt: interrupt.signal, stderrColumns: 80 });
    expect(result).toMatchObject({ exitCode: 130, stdout: '' });
    expect(result.stderr).toContain('baremetal: interrupted. The snapshot of node gold-1 goes on: see "baremetal node show gold-1", stop it with "baremetal node abort gold-1"');
    expect(service.lines.filter((line) => !line.startsWith('GET'))).toEqual(['PUT /v1/nodes/gold-1/states/provision']);
  });

  test('--dry-run prints the checks; 0 when all pass, 3 when one does not', async () => {
    const checks = { state: { result: true }, image: { result: true } };
    service = await ServiceOfTests.start(() => ({ body: { checks } }));
    const good = await cli([...SNAPSHOT, '--dry-run', '-f', 'json', '--os-endpoint', service.url]);
    expect(good.exitCode).toBe(0);
    expect(JSON.parse(good.stdout)).toEqual([{ Check: 'image', Result: true, Reason: null }, { Check: 'state', Result: true, Reason: null }]);
    expect(service.received[0]?.body).toEqual({ target: 'snapshot', image_ref: IMAGE, dry_run: true });
    Object.assign(checks, { image: { result: false, reason: 'the image is active' } });
    const bad = await cli([...SNAPSHOT, '--dry-run', '--os-endpoint', service.url]);
    expect(bad.exitCode).toBe(3);
    expect(bad.stdout).toContain('the image is active');
    expect(bad.stderr).toContain('would be refused now: image');
  });

  test.each([
    ['nothing, as one that has begun the snapshot does', { status: 202 }],
    ['no checks', { body: { checks: {} } }],
    ['something else', { body: { ok: true } }],
  ])('--dry-run is never taken for passed when the service answers %s', async (_what, answer) => {
    service = await ServiceOfTests.start(() => answer);
    const result = await cli([...SNAPSHOT, '--dry-run', '--os-endpoint', service.url]);
    expect(result).toMatchObject({ exitCode: 6, stdout: '' });
    expect(result.stderr).not.toContain('could begin');
  });

  test('--dry-run: a check without a clear yes is a no', async () => {
    service = await ServiceOfTests.start(() => ({ body: { checks: { image: { result: null } } } }));
    expect((await cli([...SNAPSHOT, '--dry-run', '--os-endpoint', service.url])).exitCode).toBe(3);
  });
});
