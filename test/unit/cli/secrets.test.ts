import { afterEach, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, fault } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const BASIC = `Basic ${Buffer.from('admin:hunter2').toString('base64')}`;
const env = { OS_AUTH_TYPE: 'http_basic', OS_USERNAME: 'admin', OS_PASSWORD: 'hunter2', OS_TOKEN: 'tok-7' };
const secretsIn = (text: string): string[] => ['hunter2', BASIC.slice(6), 'tok-7'].filter((secret) => text.includes(secret));

test('credentials go to the service that they are for, and to no other', async () => {
  service = await ServiceOfTests.start(({ path }) => ({ body: path.startsWith('/v2') ? { images: [] } : { nodes: [] } }));
  const endpoints = ['--os-endpoint', service.url, '--os-image-endpoint', service.url];
  await cli(['node', 'list', ...endpoints], { env });
  await cli(['image', 'list', ...endpoints], { env });
  expect(service.received.map(({ path, headers }) => [path, headers.authorization, headers['x-auth-token']])).toEqual([['/v1/nodes', BASIC, undefined], ['/v2/images', undefined, 'tok-7']]);
});

test.each([
  ['refused', fault(401, 'Incorrect username or password')],
  ['cut', { destroy: true }],
])('when the request is %s neither password nor token is shown, with --debug either', async (_how, answer) => {
  service = await ServiceOfTests.start(() => answer);
  for (const argv of [['node', 'list'], ['image', 'list']]) {
    const { stdout, stderr, exitCode } = await cli([...argv, '--debug', '--max-retries', '1', '--os-endpoint', service.url, '--os-image-endpoint', service.url], { env });
    expect(exitCode).not.toBe(0);
    expect(secretsIn(stdout + stderr)).toEqual([]);
  }
});

test('an address with credentials in it is refused without being repeated', async () => {
  service = await ServiceOfTests.start(() => ({}));
  const { stderr, exitCode } = await cli(['node', 'list', '--os-endpoint', 'http://admin:hunter2@127.0.0.1:1']);
  expect(exitCode).toBe(2);
  expect(secretsIn(stderr)).toEqual([]);
  expect(stderr).toContain('OS_PASSWORD');
});

test('a secret given without its key is not repeated in the error', async () => {
  service = await ServiceOfTests.start(() => ({}));
  const { stderr, exitCode } = await cli(['node', 'set', 'gold-1', '--driver-info', 'hunter2', '--os-endpoint', service.url]);
  expect(exitCode).toBe(2);
  expect(secretsIn(stderr)).toEqual([]);
  expect(stderr).toContain('--driver-info expects KEY=VALUE');
});

test('a password that would leave this machine in clear text is warned of', async () => {
  service = await ServiceOfTests.start(() => ({}));
  const interrupt = AbortSignal.abort(); // nothing is sent to the host that is not ours
  const { stderr } = await cli(['node', 'list', '--os-endpoint', 'http://conductor.invalid:6385'], { env, interrupt });
  expect(stderr).toContain('warning: the password goes to conductor.invalid unencrypted; use https');
});
