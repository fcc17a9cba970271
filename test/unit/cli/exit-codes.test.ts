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
    ['a shell that is not known', ['completion', 'fish']],
    ['a boot device that is none', ['node', 'boot', 'device', 'set', 'gold-1', 'usb']],
    ['traits to remove, and all', ['node', 'remove', 'trait', 'gold-1', 'CUSTOM_A', '--all']],
    ['no traits to remove', ['node', 'remove', 'trait', 'gold-1']],
    ['nothing to set in a volume target', ['volume', 'target', 'set', 'x']],
    ['nothing to unset in a port', ['port', 'unset', 'x']],
    ['two opposites', ['port', 'set', 'x', '--pxe-enabled', '--pxe-disabled']],
    ['no image for a snapshot', ['node', 'snapshot', 'gold-1']],
    ['two images for a snapshot', ['node', 'snapshot', 'gold-1', '--image', 'a', '--create-image', 'b']],
    ['no image for a restore', ['node', 'restore', 'gold-1']],
    ['a host name without --generalize', ['node', 'deploy', 'gold-1', '--hostname', 'x']],
    ['a URL without a digest', ['node', 'deploy', 'gold-1', '--image', 'http://x/y']],
    ['a digest that is too short', ['node', 'deploy', 'gold-1', '--image', 'http://x/y', '--image-checksum', 'sha256:abcd']],
    ['a digest that is not trusted', ['node', 'deploy', 'gold-1', '--image', 'http://x/y', '--image-checksum', `md5:${'a'.repeat(32)}`]],
    ['a digest of an image of the image service', ['node', 'deploy', 'gold-1', '--image', 'x', '--image-checksum', `sha256:${'a'.repeat(64)}`]],
    ['a plan that is waited for', ['node', 'restore', 'gold-1', '--image', 'x', '--plan', '--wait']],
    ['a plan of a URL', ['node', 'deploy', 'gold-1', '--plan', '--image', 'http://x/y', '--image-checksum', `sha256:${'a'.repeat(64)}`]],
    ['a config drive that is not there', ['node', 'deploy', 'gold-1', '--config-drive', '/nonexistent/drive']],
    ['Keystone without an address', ['node', 'list', '--os-auth-type', 'password', '--os-username', 'admin', '--os-password', 'x']],
    ['Keystone v2', ['node', 'list', '--os-auth-url', 'http://127.0.0.1:1/v2.0', '--os-username', 'admin', '--os-password', 'x']],
    ['half an application credential', ['node', 'list', '--os-auth-type', 'v3applicationcredential', '--os-auth-url', 'http://127.0.0.1:1/v3', '--os-application-credential-id', 'x']],
    ['waiting for a dry run', ['node', 'snapshot', 'gold-1', '--image', 'x', '--dry-run', '--wait']],
    ['an authority that is not there', ['node', 'list', '--os-cacert', '/nonexistent/ca.pem']],
    ['http_basic without a password', ['node', 'list', '--os-auth-type', 'http_basic', '--os-username', 'admin']],
  ])('2: %s; nothing is sent', async (_what, argv) => {
    service = await ServiceOfTests.start(() => ({ body: {} }));
    const result = await cli(argv, { env: { OS_ENDPOINT: service.url } });
    expect(result.exitCode).toBe(2);
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(/^baremetal: .+\n(usage: .+\n)?$/);
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

  test('5: a lock that outlasts the retries', async () => {
    const result = await answering(fault(409, 'Node gold-1 is locked by host c-1, please retry after the current operation is completed.'), 'node', 'manage', 'gold-1', '--max-retries', '2');
    expect(result.exitCode).toBe(5);
    expect(result.stderr).toMatch(/baremetal: Node gold-1 is locked by host c-1, please retry after the current operation is completed\.\n$/);
    expect(service?.received).toHaveLength(3);
  });

  test.each([
    ['a name that is taken', 'A node with name gold-1 already exists.', ['node', 'create', '--driver', 'x', '--name', 'gold-1']],
    ['a MAC address that is taken', 'A port with MAC address 52:54:00:12:34:56 already exists.', ['port', 'create', '52:54:00:12:34:56', '--node', '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01']],
    ['a power change during a snapshot', 'The power of node gold-1 cannot be changed while it is in state "snapshotting".', ['node', 'power', 'off', 'gold-1']],
  ])('5: %s, at once: trying again cannot help', async (_what, message, argv) => {
    expect(await answering(fault(409, message), ...argv)).toMatchObject({ exitCode: 5, stdout: '', stderr: `baremetal: ${message}\n` });
    expect(service?.received).toHaveLength(1);
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

  test('of several deletions that the service leaves half-way: 6, and what failed before is told as well', async () => {
    service = await ServiceOfTests.start(({ path }) => (path.endsWith('a') ? fault(404, 'Node a could not be found.') : { destroy: true }));
    const result = await cli(['node', 'delete', 'a', 'b', 'c', '--os-endpoint', service.url]);
    expect(result).toMatchObject({ exitCode: 6, stdout: '' });
    expect(result.stderr).toMatch(/^baremetal: Node a could not be found\.\nbaremetal: cannot reach/m);
    expect(service.lines).toEqual(['DELETE /v1/nodes/a', 'DELETE /v1/nodes/b']);
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

test.each([
  ['do not reach a terminal with -f value', 80, 'evil \\x1b[2Jname\\x9b'],
  ['reach a program as they are', undefined, 'evil \u001b[2Jname\u009b'],
])('control characters in a value %s', async (_what, stdoutColumns, text) => {
  const name = 'evil \u001b[2Jname\u009b';
  service = await ServiceOfTests.start(({ path }) => ({ body: path === '/v1/nodes/n' ? { uuid: 'u', name, links: [] } : { nodes: [{ uuid: 'u', name, links: [] }] } }));
  for (const words of [['node', 'show', 'n'], ['node', 'list', '--fields', 'name']]) {
    expect((await cli([...words, '-f', 'value', '-c', 'name', '--os-endpoint', service.url], { stdoutColumns })).stdout).toBe(`${text}\n`);
  }
});
