import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { configSchema, loadConfig, parseConfig } from '../../../conductor/config.ts';
import { InvalidParameterError } from '../../../protocol/errors.ts';

const parse = (document: unknown): ReturnType<typeof parseConfig> => parseConfig(document, 'test.yaml');
/** The error's message; a configuration that is accepted fails the test. */
function refusal(document: unknown): string {
  try {
    parse(document);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidParameterError);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${JSON.stringify(document)}`);
}
/** Dotted names of all keys of a JSON schema. */
const keysOf = ({ properties = {} }: z.core.JSONSchema.BaseSchema, prefix = ''): string[] =>
  Object.entries(properties).flatMap(([name, inner]) => (typeof inner === 'object' && inner.properties ? keysOf(inner, `${prefix}${name}.`) : [`${prefix}${name}`]));

describe('the configuration', () => {
  test('needs nothing: the API on loopback, machines over TLS, the state below the working directory', () => {
    expect(parse({})).toMatchObject({
      state_directory: resolve('./var'),
      enabled_hardware_types: ['redfish'],
      api: { host: '127.0.0.1', port: 6385, tls: 'none', auth: 'noauth' },
      provisioning: { host: '127.0.0.1', port: 6386, tls: 'self-signed' },
      image_service: { embedded: { host: '127.0.0.1', port: 9292 } },
      snapshot: { max_concurrent: 2 },
    });
  });

  test('keeps the defaults of what a section does not name', () => {
    expect(parse({ api: { port: 1 }, snapshot: { stall_timeout_s: 0.5 } })).toMatchObject({ api: { port: 1, host: '127.0.0.1' }, snapshot: { stall_timeout_s: 0.5, upload_attempts: 8 } });
  });

  test.each<[string, unknown, RegExp]>([
    ['an unknown key', { api: { prot: 1 } }, /test\.yaml.*api.*"prot"/],
    ['an unknown section', { apii: {} }, /"apii"/],
    ['a port that is none', { api: { port: 65_536 } }, /api\.port/],
    ['a port as text', { provisioning: { port: '6386' } }, /provisioning\.port.*number/],
    ['a duration of nothing', { conductor: { power_timeout_s: 0 } }, /conductor\.power_timeout_s/],
    ['half a capture', { snapshot: { max_concurrent: 1.5 } }, /snapshot\.max_concurrent/],
    ['no capture at all', { snapshot: { max_concurrent: 0 } }, /snapshot\.max_concurrent/],
    ['a negative reserve', { snapshot: { spool_reserve_bytes: -1 } }, /snapshot\.spool_reserve_bytes/],
    ['an image service that is no URL', { image_service: { url: 'glance' } }, /image_service\.url/],
    ['an advertised URL with a path', { provisioning: { advertise_url: 'https://h:1/x' } }, /provisioning\.advertise_url/],
    ['an advertised URL that is no web address', { provisioning: { advertise_url: 'ftp://h:1' } }, /provisioning\.advertise_url/],
    ['a certificate without its key', { api: { tls: { certificate: '/c' } } }, /api\.tls/],
    ['no hardware type', { enabled_hardware_types: [] }, /enabled_hardware_types/],
    ['a list in place of sections', [], /\(top level\)/],
  ])('refuses %s and names the key', (_what, document, message) => {
    expect(refusal(document)).toMatch(message);
  });

  test('names every wrong key at once, and where all keys are', () => {
    const message = refusal({ api: { port: -1 }, log_level: 'loud' });
    for (const part of ['api.port', 'log_level', 'docs/configuration.md']) expect(message).toContain(part);
  });

  test.each(['0.0.0.0', '::', '192.0.2.1', 'api.example.org'])('refuses the admin API on %s unless it has both authentication and TLS', (host) => {
    for (const api of [{}, { tls: 'self-signed' }, { auth: 'http_basic', http_basic_file: '/f' }]) expect(refusal({ api: { host, ...api } })).toMatch(/^api\.host: .*beyond loopback/);
    expect(parse({ api: { host, tls: 'self-signed', auth: 'http_basic', http_basic_file: '/f' } }).api.host).toBe(host);
  });

  test.each(['127.0.0.1', '::1', 'localhost'])('lets the admin API on %s do without', (host) => {
    expect(parse({ api: { host } }).api.host).toBe(host);
  });

  test('refuses http_basic without its file', () => {
    expect(refusal({ api: { auth: 'http_basic' } })).toMatch(/^api\.http_basic_file: required/);
  });

  test('has every key in its documentation, also those that have no default', async () => {
    const chapters = (await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')).split('\n## ');
    const keys = keysOf(z.toJSONSchema(configSchema, { io: 'input' }));
    for (const key of ['host', 'deploy.ca_file', 'api.keystone.application_credential_secret', 'image_service.embedded.port']) expect(keys).toContain(key);
    const undocumented = keys.filter((key) => {
      const [section = '', ...rest] = key.split('.');
      const ofKeystone = rest[0] === 'keystone' && rest.length > 1;
      const chapter = rest.length === 0 ? chapters[0] : chapters.find((text) => text.startsWith(ofKeystone ? 'Keystone' : `\`${section}\``));
      return !chapter?.includes(`\`${ofKeystone ? rest[1] : rest.join('.') || section}\``);
    });
    expect(undocumented).toEqual([]);
  });
});

describe('the configuration file and the environment', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-config-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const fileOf = async (text: string): Promise<string> => {
    const file = join(directory, 'conductor.yaml');
    await writeFile(file, text);
    return file;
  };

  test('the environment goes over the file, key by key; its values are YAML', async () => {
    const file = await fileOf('api:\n  port: 1\n  host: localhost\nhost: from-file\n');
    const config = await loadConfig(file, { METALSHOT_API__PORT: '2', METALSHOT_SNAPSHOT__MAX_CONCURRENT: '7', METALSHOT_ENABLED_HARDWARE_TYPES: '[redfish, fake-hardware]', METALSHOT_IMAGE_SERVICE__EMBEDDED__PORT: '3', PATH: '/bin' });
    expect(config).toMatchObject({ host: 'from-file', api: { port: 2, host: 'localhost' }, snapshot: { max_concurrent: 7 }, enabled_hardware_types: ['redfish', 'fake-hardware'], image_service: { embedded: { port: 3 } } });
  });

  test('an empty file is all defaults, no file too', async () => {
    expect(await loadConfig(await fileOf('# nothing yet\n'), {})).toEqual(await loadConfig(undefined, {}));
  });

  test('a variable that names no key, or goes below a value, is refused by name', async () => {
    await expect(loadConfig(undefined, { METALSHOT_API__PROT: '1' })).rejects.toThrow(/environment.*api.*"prot"/);
    await expect(loadConfig(await fileOf('host: here\n'), { METALSHOT_HOST__NAME: 'x' })).rejects.toThrow(/METALSHOT_HOST__NAME: host is not a mapping/);
  });

  test.each([
    ['is missing', undefined, /Cannot read the configuration file/],
    ['is no YAML', 'api: [1', /is not YAML/],
    ['is a list', '- api', /expected a YAML mapping/],
    ['is a word', 'api', /expected a YAML mapping/],
  ])('a file that %s is refused by name', async (_what, text, message) => {
    const file = text === undefined ? join(directory, 'missing.yaml') : await fileOf(text);
    await expect(loadConfig(file, {})).rejects.toThrow(message);
    await expect(loadConfig(file, {})).rejects.toThrow(file);
    await expect(loadConfig(file, {})).rejects.toBeInstanceOf(InvalidParameterError);
  });

  test.each(['api: [1', '"open'])('a variable whose value is no YAML (%s) is refused by name', async (value) => {
    await expect(loadConfig(undefined, { METALSHOT_HOST: value })).rejects.toThrow(/METALSHOT_HOST/);
    await expect(loadConfig(undefined, { METALSHOT_HOST: value })).rejects.toBeInstanceOf(InvalidParameterError);
  });
});
