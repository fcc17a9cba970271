import { afterEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, fault, nodeInState, type Answer } from './service-of-tests.ts';

let service: ServiceOfTests | undefined;
afterEach(async () => {
  await service?.stop();
  service = undefined;
});

async function answering(answer: Answer, ...argv: string[]) {
  service = await ServiceOfTests.start(() => answer);
  return cli([...argv, '--os-endpoint', service.url]);
}

describe('exit code', () => {
  test('0: done, with nothing but data on stdout', async () => {
    const result = await answering({ body: nodeInState('active') }, 'node', 'show', 'gold-1', '-f', 'value', '-c', 'provision_state');
    expect(result).toMatchObject({ exitCode: 0, stdout: 'active\n', stderr: '' });
  });

  test.each([
    ['an unknown command', ['nodes', 'list']],
    ['half a command', ['node', 'power']],
    ['an unknown option', ['node', 'list', '--colour', 'red']],
    ['a missing argument', ['node', 'show']],
    ['a missing option', ['node', 'create', '--name', 'x']],
    ['a number that is none', ['node', 'list', '--limit', 'many']],
    ['an unknown format', ['node', 'list', '-f', 'xml']],
    ['a bad version', ['node', 'list', '--os-baremetal-api-version', '2.0']],
    ['a bad address', ['node', 'list', '--os-endpoint', 'localhost:6385']],
    ['an address with credentials', ['node', 'list', '--os-endpoint', 'http://admin:hunter2@127.0.0.1:6385']],
    ['nothing to set', ['node', 'set', 'gold-1']],
    ['nothing to unset', ['node', 'unset', 'gold-1']],
    ['a name that leads elsewhere', ['node', 'delete', '..']],
    ['an empty name', ['node', 'delete', '']],
    ['a wait that is no number', ['node', 'manage', 'gold-1', '--wait=soon']],
    ['waiting for a dry run', ['node', 'snapshot', 'gold-1', '--image', 'x', '--dry-run', '--wait']],
    ['an authority that is not there', ['node', 'list', '--os-cacert', '/nonexistent/ca.pem']],
    ['http_basic without a password', ['node', 'list', '--os-auth-type', 'http_basic', '--os-username', 'admin']],
  ])('2: %s; nothing is sent', async (_what, argv) => {
    service = await ServiceOfTests.start(() => ({ body: {} }));
    const result = await cli(argv, { env: { OS_ENDPOINT: service.url } });
    expect(result.exitCode).toBe(2);
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(/^baremetal: .+\n$/);
    expect(service.received).toEqual([]);
  });

  test('3: refused by the API, with its message and no more', async () => {
    const refusal = 'The requested action "manage" can not be performed on node "5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01" while it is in state "active".';
    const result = await answering(fault(400, refusal), 'node', 'manage', 'gold-1');
    expect(result).toMatchObject({ exitCode: 3, stdout: '', stderr: `baremetal: ${refusal}\n` });
  });

  test('3: forbidden, and 401 with how to give credentials', async () => {
    expect((await answering(fault(403, 'Node gold-1 is protected.'), 'node', 'delete', 'gold-1')).exitCode).toBe(3);
    await service?.stop();
    const result = await answering(fault(401, 'Authorization required'), 'node', 'list');
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain('OS_USERNAME');
  });

  test('4: not found', async () => {
    const result = await answering(fault(404, 'Node nope could not be found.'), 'node', 'show', 'nope');
    expect(result).toMatchObject({ exitCode: 4, stderr: 'baremetal: Node nope could not be found.\n' });
  });

  test('5: a conflict that outlasts the retries', async () => {
    const result = await answering(fault(409, 'A node with name gold-1 already exists.'), 'node', 'create', '--driver', 'x', '--name', 'gold-1', '--max-retries', '2');
    expect(result.exitCode).toBe(5);
    expect(result.stderr).toMatch(/baremetal: A node with name gold-1 already exists\.\n$/);
    expect(service?.received).toHaveLength(3);
  });

  test('6: nobody at the endpoint; the message names it and what to check', async () => {
    service = await ServiceOfTests.start(() => ({}));
    const { url } = service;
    await service.stop();
    const result = await cli(['node', 'list', '--max-retries', '0'], { env: { OS_ENDPOINT: url } });
    expect(result.exitCode).toBe(6);
    expect(result.stdout).toBe('');
    expect(result.stderr).toContain(`cannot reach the Bare Metal API at ${url}: connection refused`);
    expect(result.stderr).toContain('OS_ENDPOINT');
    expect(result.stderr).not.toMatch(/ at .*\.ts/);
  });

  test('6: a 5xx answer, after the retries for 503', async () => {
    expect((await answering(fault(500, 'Boom.'), 'node', 'list')).exitCode).toBe(6);
    expect(service?.received).toHaveLength(1);
    await service?.stop();
    expect((await answering(fault(503, 'Busy.'), 'node', 'list')).exitCode).toBe(6);
    expect(service?.received).toHaveLength(6);
  });

  test('6: something else than a Bare Metal API', async () => {
    for (const answer of [{ body: '<html>Welcome</html>' }, { status: 404, body: '<html>Not here</html>' }, { body: { hello: 1 } }, { status: 302, headers: { Location: 'http://127.0.0.1:1/' } }]) {
      const result = await answering(answer, 'node', 'list');
      expect(result).toMatchObject({ exitCode: 6, stdout: '' });
      expect(result.stderr).toMatch(/not .*as a Bare Metal API does; check --os-endpoint/);
      await service?.stop();
    }
  });

  test('6: an answer that does not come in time', async () => {
    const result = await answering({ hang: true }, 'node', 'list', '--timeout', '0.2');
    expect(result.exitCode).toBe(6);
    expect(result.stderr).toContain('no answer within 0.2 s');
  });

  test('130: interrupted', async () => {
    const interrupt = new AbortController();
    service = await ServiceOfTests.start(() => {
      interrupt.abort();
      return { hang: true };
    });
    const result = await cli(['node', 'list', '--os-endpoint', service.url], { interrupt: interrupt.signal });
    expect(result).toMatchObject({ exitCode: 130, stdout: '', stderr: 'baremetal: interrupted\n' });
  });

  test('of several deletions: that of the first failure, after all were tried', async () => {
    service = await ServiceOfTests.start(({ path }) => (path.endsWith('b') ? fault(404, 'Node b could not be found.') : { status: 204 }));
    const result = await cli(['node', 'delete', 'a', 'b', 'c', '--os-endpoint', service.url]);
    expect(result).toMatchObject({ exitCode: 4, stdout: '', stderr: 'deleted node a\ndeleted node c\nbaremetal: Node b could not be found.\n' });
  });
});

test.each([
  ['controllers', { error_message: '{"faultcode": "Client", "faultstring": "Plain words.", "debuginfo": null}' }],
  ['routing', { error_message: '{"code": 406, "title": "Not Acceptable", "description": "Plain words."}' }],
  ['a proxy that puts text there', { error_message: 'Plain words.' }],
  ['an object instead of a string', { error_message: { faultstring: 'Plain words.' } }],
])('an error of %s is shown as its plain words', async (_source, body) => {
  const result = await answering({ status: 400, body }, 'node', 'list');
  expect(result.stderr).toBe('baremetal: Plain words.\n');
});

test('control characters in an answer do not reach the terminal', async () => {
  const result = await answering(fault(400, 'evil \u001b[2Jname'), 'node', 'list');
  expect(result.stderr).toBe('baremetal: evil \\x1b[2Jname\n');
});
