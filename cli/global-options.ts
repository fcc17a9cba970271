import { MAX_MICROVERSION, formatMicroversion } from '../protocol/microversion.ts';
import { parseNumber, type Arguments } from './arguments.ts';
import type { OptionSpec } from './command.ts';
import { AUTH_TYPES, readCredentials, type Credentials } from './credentials.ts';
import { UsageError } from './exit-code.ts';
import { OUTPUT_FORMATS, type OutputFormat, type OutputSettings } from './output.ts';
import { readUrl, variable, type Environment } from './settings-values.ts';

const GENERAL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'os-endpoint': { kind: 'text', describe: 'Bare Metal API (OS_ENDPOINT; default: of the Keystone catalog, else http://127.0.0.1:6385)' },
  'os-image-endpoint': { kind: 'text', describe: 'Image service, Glance v2 (OS_IMAGE_ENDPOINT; default: of the Keystone catalog, else http://127.0.0.1:9292)' },
  'os-auth-type': { kind: 'text', describe: 'How to prove who you are (OS_AUTH_TYPE; default: password with an OS_AUTH_URL, else none)', choices: AUTH_TYPES },
  'os-username': { kind: 'text', describe: 'User (OS_USERNAME)' },
  'os-password': { kind: 'text', describe: 'Password; better in OS_PASSWORD, as all users of this machine see arguments' },
  'os-cacert': { kind: 'text', describe: 'PEM file of the authority, or the certificate itself, to trust (OS_CACERT)' },
  insecure: { kind: 'flag', describe: 'Trust any certificate' },
  'os-baremetal-api-version': { kind: 'text', describe: `1.N or latest (OS_BAREMETAL_API_VERSION; default latest: the newest both know, up to ${formatMicroversion(MAX_MICROVERSION)})` },
  format: { kind: 'text', alias: 'f', describe: 'Output format (default table)', choices: OUTPUT_FORMATS },
  column: { kind: 'repeated', alias: 'c', describe: 'Show only this column; can be repeated' },
  timeout: { kind: 'text', describe: 'Seconds for one request (default 60)' },
  'max-retries': { kind: 'text', describe: 'Tries more when the node is locked, after 503 or a refused connection (default 5)' },
  'retry-interval': { kind: 'text', describe: 'Seconds between two tries (default 2)' },
  debug: { kind: 'flag', describe: 'Show each request on standard error, without bodies and secrets' },
};

/** Understood with every command, shown in the help of the program. Each has a variable: `--os-auth-url` is OS_AUTH_URL. */
export const KEYSTONE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'os-auth-url': { kind: 'text', describe: 'Keystone v3 (OS_AUTH_URL)' },
  'os-user-id': { kind: 'text', describe: 'Instead of --os-username' },
  'os-user-domain-name': { kind: 'text', describe: 'Domain of the user (default: the domain with the id "default")' },
  'os-user-domain-id': { kind: 'text', describe: 'The same by id' },
  'os-project-name': { kind: 'text', describe: 'Project to act in' },
  'os-project-id': { kind: 'text', describe: 'The same by id' },
  'os-project-domain-name': { kind: 'text', describe: 'Domain of the project (default: the domain with the id "default")' },
  'os-project-domain-id': { kind: 'text', describe: 'The same by id' },
  'os-system-scope': { kind: 'text', describe: 'Act on the whole system instead of in a project', choices: ['all'] },
  'os-application-credential-id': { kind: 'text', describe: 'Application credential' },
  'os-application-credential-name': { kind: 'text', describe: 'The same by name; needs the user too' },
  'os-application-credential-secret': { kind: 'text', describe: 'Its secret; better in the variable' },
  'os-token': { kind: 'text', describe: 'Token for --os-auth-type token; better in OS_TOKEN' },
  'os-region-name': { kind: 'text', describe: 'Region of the endpoints in the catalog' },
  'os-interface': { kind: 'text', describe: 'Interface of the endpoints in the catalog (default public)', choices: ['public', 'internal', 'admin', 'publicURL', 'internalURL', 'adminURL'] },
};

export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec>> = { ...GENERAL_OPTIONS, ...KEYSTONE_OPTIONS };

export interface Settings {
  /** Undefined: as the Keystone catalog says. */
  endpoint: string | undefined;
  imageEndpoint: string | undefined;
  credentials: Credentials;
  /** Value of X-Auth-Token for the image service where Keystone gives none (OS_TOKEN). */
  imageToken: string | undefined;
  caFile: string | undefined;
  insecure: boolean;
  microversion: number | undefined;
  timeoutMs: number;
  maxRetries: number;
  retryIntervalMs: number;
}

export function readOutputSettings(args: Arguments, width: number | undefined): OutputSettings {
  const format = args.text('format');
  return { format: OUTPUT_FORMATS.find((known) => known === format) ?? ('table' satisfies OutputFormat), columns: args.texts('column'), debug: args.flag('debug') === true, width };
}

/** Options first, then the environment, then defaults. @throws UsageError that names the option and its variable. */
export function readSettings(args: Arguments, env: Environment): Settings {
  const credentials = readCredentials(args, env);
  const without = (address: string): string | undefined => (credentials.kind === 'keystone' ? undefined : address);
  const endpoint = args.text('os-endpoint') ?? variable(env, 'OS_ENDPOINT') ?? without('http://127.0.0.1:6385');
  const imageEndpoint = args.text('os-image-endpoint') ?? variable(env, 'OS_IMAGE_ENDPOINT') ?? without('http://127.0.0.1:9292');
  return {
    endpoint: endpoint && readUrl(endpoint, '--os-endpoint (OS_ENDPOINT)', API_ROOTS.baremetal),
    imageEndpoint: imageEndpoint && readUrl(imageEndpoint, '--os-image-endpoint (OS_IMAGE_ENDPOINT)', API_ROOTS.image),
    credentials,
    imageToken: args.text('os-token') ?? variable(env, 'OS_TOKEN'),
    caFile: args.text('os-cacert') ?? variable(env, 'OS_CACERT'),
    insecure: args.flag('insecure') === true,
    microversion: readMicroversion(args.text('os-baremetal-api-version') ?? variable(env, 'OS_BAREMETAL_API_VERSION') ?? 'latest'),
    timeoutMs: (args.number('timeout', 0.001) ?? 60) * 1000,
    maxRetries: args.integer('max-retries') ?? 5,
    retryIntervalMs: parseNumber(args.text('retry-interval') ?? '2', '--retry-interval', 0) * 1000,
  };
}

/** What the addresses of the services, given or of the catalog, may end with; requests bring it themselves. */
export const API_ROOTS = { baremetal: /\/+(v1)?\/*$/, image: /\/+(v2)?\/*$/ } as const;

function readMicroversion(text: string): number | undefined {
  if (text === 'latest' || text === '1') return undefined;
  const match = /^1\.(\d{1,4})$/.exec(text);
  if (!match || Number(match[1]) < 1) throw new UsageError(`--os-baremetal-api-version (OS_BAREMETAL_API_VERSION) expects 1.N or latest, got "${text}"`);
  return Number(match[1]);
}
