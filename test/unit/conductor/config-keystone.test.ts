import { expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { configSchema, parseConfig } from '../../../conductor/config.ts';

const AUTH_URL = 'https://keystone.example/v3';
const byPassword = { auth_url: AUTH_URL, username: 'metalshot', password_file: '/p', project_name: 'service' };
const byApplication = { auth_url: AUTH_URL, application_credential_id: 'id', application_credential_secret_file: '/s' };
const parse = (document: unknown): ReturnType<typeof parseConfig> => parseConfig(document, 'test.yaml');

test.each([byPassword, byApplication, { ...byPassword, password_file: undefined, password: 'x' }, { ...byApplication, application_credential_secret_file: undefined, application_credential_secret: 'x' }])('one kind of credentials, whole, is accepted on both sides (%#)', (keystone) => {
  expect(parse({ api: { auth: 'keystone', keystone }, image_service: { keystone } })).toMatchObject({ api: { keystone: { interface: 'public', timeout_s: 30 } }, image_service: { keystone: { user_domain_name: 'Default' } } });
});

test.each<[string, object, RegExp]>([
  ['no credentials', { auth_url: AUTH_URL }, /keystone\.username: required; .*keystone\.project_name: required; .*keystone\.password_file: required/],
  ['no project', { ...byPassword, project_name: undefined }, /keystone\.project_name: required/],
  ['no secret', { ...byApplication, application_credential_secret_file: undefined }, /keystone\.application_credential_secret_file: required/],
  ['a secret twice', { ...byPassword, password: 'hidden' }, /keystone\.password_file: .*found both/],
  ['both kinds', { ...byPassword, ...byApplication }, /keystone\.username: .*found both/],
  ['a password with an application credential', { ...byApplication, password: 'hidden' }, /keystone\.password: .*found both/],
  ['no address', { ...byPassword, auth_url: undefined }, /keystone\.auth_url/],
  ['an address that is none', { ...byPassword, auth_url: 'ftp://x' }, /keystone\.auth_url/],
  ['an interface that is none', { ...byPassword, interface: 'private' }, /keystone\.interface/],
])('%s is refused by key, without the secret', (_what, keystone, message) => {
  for (const document of [{ api: { auth: 'keystone', keystone } }, { image_service: { keystone } }]) {
    let refusal = '';
    try {
      parse(document);
    } catch (error) {
      refusal = (error as Error).message;
    }
    expect(refusal).toMatch(message);
    expect(refusal).not.toContain('hidden');
  }
});

test('the API with Keystone needs its settings, and settings without it would protect nothing', () => {
  expect(() => parse({ api: { auth: 'keystone' } })).toThrow(/^api\.keystone: required/);
  for (const auth of [{}, { auth: 'http_basic', http_basic_file: '/f' }]) expect(() => parse({ api: { ...auth, keystone: byPassword } })).toThrow(/^api\.auth: keystone is required/);
});

test('Keystone is authentication enough beyond loopback, with TLS', () => {
  expect(parse({ api: { host: '0.0.0.0', tls: 'self-signed', auth: 'keystone', keystone: byPassword } }).api.auth).toBe('keystone');
  expect(() => parse({ api: { host: '0.0.0.0', auth: 'keystone', keystone: byPassword } })).toThrow(/beyond loopback/);
});

test('a fixed token and Keystone exclude each other', () => {
  expect(() => parse({ image_service: { token: 't', keystone: byPassword } })).toThrow(/^image_service\.token: not with/);
  expect(() => parse({ image_service: { token_file: '/t', keystone: byPassword } })).toThrow(/^image_service\.token_file: not with/);
});

test('every key has its documentation', async () => {
  const guide = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  const chapter = guide.split('\n## ').find((text) => text.startsWith('Keystone')) ?? '';
  const keys = Object.keys((configSchema.shape.image_service.unwrap().shape.keystone.unwrap() as unknown as { shape: object }).shape);
  expect(keys.length).toBeGreaterThan(10);
  expect(keys.filter((key) => !chapter.includes(`\`${key}\``))).toEqual([]);
});
