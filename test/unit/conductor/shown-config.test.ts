import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { configSchema, parseConfig } from '../../../conductor/config.ts';
import { shownConfig } from '../../../conductor/shown-config.ts';

const KEYSTONE = { auth_url: 'https://keystone.example/v3' };

test('of a configuration everything is shown but its secrets', () => {
  const config = parseConfig(
    {
      api: { auth: 'keystone', keystone: { ...KEYSTONE, username: 'metalshot', password: 'HIDE-1', project_name: 'service' } },
      image_service: { url: 'https://glance:HIDE-2@images.example', keystone: { ...KEYSTONE, application_credential_id: 'id', application_credential_secret: 'HIDE-3' } },
    },
    'test.yaml',
  );
  const shown = JSON.stringify(shownConfig(config));
  expect(shown).not.toContain('HIDE');
  expect(JSON.parse(shown)).toEqual({
    ...config,
    api: { ...config.api, keystone: { ...config.api.keystone, password: '******' } },
    image_service: { ...config.image_service, url: 'https://glance:******@images.example', keystone: { ...config.image_service.keystone, application_credential_secret: '******' } },
  });
  expect(shownConfig(parseConfig({ image_service: { token: 'HIDE-4' } }, 'test.yaml'))).toMatchObject({ image_service: { token: '******' } });
});

test('a key that names the file of a secret, or a limit, is none', () => {
  const files = { password_file: '/p', application_credential_secret_file: '/s' };
  expect(shownConfig({ ...files, token_file: '/t', tls: { certificate: '/c', key: '/k' }, list: ['a'], none: null, number: 1 })).toEqual({ ...files, token_file: '/t', tls: { certificate: '/c', key: '/k' }, list: ['a'], none: null, number: 1 });
});

test('every key of the configuration that sounds like a secret, and is no file of one, is masked', () => {
  const names = JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' })).match(/"[a-z_]*(pass|secret|token|credential)[a-z_]*"(?=:\{)/g) ?? [];
  const secrets = [...new Set(names.map((name) => name.slice(1, -1)))].filter((name) => !/_(file|id)$/.test(name));
  expect(secrets.sort()).toEqual(['application_credential_secret', 'password', 'token']);
  expect(Object.values(shownConfig(Object.fromEntries(secrets.map((name) => [name, 'HIDE']))) as object)).toEqual(secrets.map(() => '******'));
});
