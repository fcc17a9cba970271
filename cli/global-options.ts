import { MAX_MICROVERSION, formatMicroversion } from '../protocol/microversion.ts';
import { parseNumber, type Arguments } from './arguments.ts';
import type { OptionSpec } from './command.ts';
import { UsageError } from './exit-code.ts';
import { OUTPUT_FORMATS, type OutputFormat, type OutputSettings } from './output.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'os-endpoint': { kind: 'text', describe: 'Bare Metal API (OS_ENDPOINT; default http://127.0.0.1:6385)' },
  'os-image-endpoint': { kind: 'text', describe: 'Image service, Glance v2 (OS_IMAGE_ENDPOINT; default http://127.0.0.1:9292)' },
  'os-auth-type': { kind: 'text', describe: 'none or http_basic (OS_AUTH_TYPE; default none)', choices: ['none', 'http_basic'] },
  'os-username': { kind: 'text', describe: 'User for http_basic (OS_USERNAME)' },
  'os-password': { kind: 'text', describe: 'Password for http_basic; better in OS_PASSWORD, as all users of this machine see arguments' },
  'os-cacert': { kind: 'text', describe: 'PEM file of the authority, or the certificate itself, to trust (OS_CACERT)' },
  insecure: { kind: 'flag', describe: 'Trust any certificate' },
  'os-baremetal-api-version': { kind: 'text', describe: `1.N or latest (OS_BAREMETAL_API_VERSION; default latest: the newest both know, up to ${formatMicroversion(MAX_MICROVERSION)})` },
  format: { kind: 'text', alias: 'f', describe: 'Output format (default table)', choices: OUTPUT_FORMATS },
  column: { kind: 'repeated', alias: 'c', describe: 'Show only this column; can be repeated' },
  timeout: { kind: 'text', describe: 'Seconds for one request (default 60)' },
  'max-retries': { kind: 'text', describe: 'Tries more after 409, 503 or a refused connection (default 5)' },
  'retry-interval': { kind: 'text', describe: 'Seconds between two tries (default 2)' },
  debug: { kind: 'flag', describe: 'Show each request on standard error, without bodies and secrets' },
};

export interface Settings {
  endpoint: string;
  imageEndpoint: string;
  /** Value of the Authorization header for the Bare Metal API. */
  authorization: string | undefined;
  /** Value of X-Auth-Token for the image service (OS_TOKEN). */
  imageToken: string | undefined;
  caFile: string | undefined;
  insecure: boolean;
  microversion: number | undefined;
  timeoutMs: number;
  maxRetries: number;
  retryIntervalMs: number;
}

/** Empty variables count as unset, as in shells. */
const variable = (env: Environment, name: string): string | undefined => env[name] || undefined;

export function readOutputSettings(args: Arguments): OutputSettings {
  const format = args.text('format');
  return { format: OUTPUT_FORMATS.find((known) => known === format) ?? ('table' satisfies OutputFormat), columns: args.texts('column'), debug: args.flag('debug') === true };
}

/** Options first, then the environment, then defaults. @throws UsageError that names the option and its variable. */
export function readSettings(args: Arguments, env: Environment): Settings {
  return {
    endpoint: readUrl(args.text('os-endpoint') ?? variable(env, 'OS_ENDPOINT') ?? 'http://127.0.0.1:6385', '--os-endpoint (OS_ENDPOINT)', /\/+(v1)?\/*$/),
    imageEndpoint: readUrl(args.text('os-image-endpoint') ?? variable(env, 'OS_IMAGE_ENDPOINT') ?? 'http://127.0.0.1:9292', '--os-image-endpoint (OS_IMAGE_ENDPOINT)', /\/+(v2)?\/*$/),
    authorization: readAuthorization(args, env),
    imageToken: variable(env, 'OS_TOKEN'),
    caFile: args.text('os-cacert') ?? variable(env, 'OS_CACERT'),
    insecure: args.flag('insecure') === true,
    microversion: readMicroversion(args.text('os-baremetal-api-version') ?? variable(env, 'OS_BAREMETAL_API_VERSION') ?? 'latest'),
    timeoutMs: (args.number('timeout', 0.001) ?? 60) * 1000,
    maxRetries: args.integer('max-retries') ?? 5,
    retryIntervalMs: parseNumber(args.text('retry-interval') ?? '2', '--retry-interval', 0) * 1000,
  };
}

function readUrl(text: string, setting: string, versionSuffix: RegExp): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new UsageError(`${setting} expects an http:// or https:// address`);
  if (url.username !== '' || url.password !== '') throw new UsageError(`${setting} must not hold credentials; use OS_USERNAME and OS_PASSWORD`);
  if (url.search !== '' || url.hash !== '') throw new UsageError(`${setting} must end with its path`);
  return url.href.replace(versionSuffix, '');
}

function readAuthorization(args: Arguments, env: Environment): string | undefined {
  const type = args.text('os-auth-type') ?? variable(env, 'OS_AUTH_TYPE') ?? 'none';
  if (type === 'none') return undefined;
  if (type !== 'http_basic') throw new UsageError(`OS_AUTH_TYPE expects none or http_basic, got "${type}"`);
  const username = args.text('os-username') ?? variable(env, 'OS_USERNAME');
  const password = args.text('os-password') ?? variable(env, 'OS_PASSWORD');
  if (username === undefined || password === undefined) throw new UsageError('http_basic needs a user and a password: OS_USERNAME and OS_PASSWORD');
  if (username.includes(':')) throw new UsageError('--os-username (OS_USERNAME) must not contain a colon: http_basic cannot carry it');
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

function readMicroversion(text: string): number | undefined {
  if (text === 'latest' || text === '1') return undefined;
  const match = /^1\.(\d{1,4})$/.exec(text);
  if (!match || Number(match[1]) < 1) throw new UsageError(`--os-baremetal-api-version (OS_BAREMETAL_API_VERSION) expects 1.N or latest, got "${text}"`);
  return Number(match[1]);
}
