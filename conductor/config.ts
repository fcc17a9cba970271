import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { InvalidParameterError } from '../protocol/errors.ts';
import { bootSchema } from './config-boot.ts';
import { snapshotSchema } from './config-snapshot.ts';
import { GIB, network, port, seconds, tls } from './config-values.ts';

/** Credentials for Keystone v3: a user with a project, or an application credential. */
const keystone = z.strictObject({
  /** For example https://keystone.example/v3 */
  auth_url: z.url({ protocol: /^https?$/ }),
  username: z.string().optional(),
  password: z.string().optional(),
  password_file: z.string().optional(),
  user_domain_name: z.string().default('Default'),
  project_name: z.string().optional(),
  project_domain_name: z.string().default('Default'),
  application_credential_id: z.string().optional(),
  application_credential_secret: z.string().optional(),
  application_credential_secret_file: z.string().optional(),
  region: z.string().optional(),
  interface: z.enum(['public', 'internal', 'admin']).default('public'),
  ca_file: z.string().optional(),
  timeout_s: seconds.default(30),
}).superRefine((section, context) => {
  for (const [key, problem] of credentialProblems(section)) context.addIssue({ code: 'custom', path: [key], message: problem });
});
export type KeystoneConfig = z.infer<typeof keystone>;

/** Exactly one kind of credentials, whole. */
function credentialProblems(section: Readonly<Partial<Record<string, unknown>>>): [key: string, problem: string][] {
  const has = (key: string): boolean => section[key] !== undefined;
  const byPassword = ['username', 'password', 'password_file', 'project_name'];
  const ofApplication = ['application_credential_id', 'application_credential_secret', 'application_credential_secret_file'];
  const foreign = byPassword.filter(has);
  if (ofApplication.some(has) && foreign.length > 0) return foreign.map((key) => [key, 'expected either a user with a password or an application credential, found both']);
  const [identity, secret] = ofApplication.some(has) ? [['application_credential_id'], 'application_credential_secret'] : [['username', 'project_name'], 'password'];
  const missing = identity.filter((key) => !has(key)).map((key): [string, string] => [key, 'required']);
  if (has(secret) === has(`${secret}_file`)) missing.push([`${secret}_file`, has(secret) ? `expected ${secret} or ${secret}_file, found both` : `required: the file that holds the secret (or ${secret})`]);
  return missing;
}

/** Every key of the configuration, with its default. Durations are seconds, sizes bytes. */
export const configSchema = z.strictObject({
  /** Name of this conductor, as it stands in `reservation` and `GET /v1/conductors`. */
  host: z.string().min(1).default(() => hostname()),
  conductor_group: z.string().default(''),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  /** Database, certificates, embedded images and spool live below it. */
  state_directory: z.string().default('./var'),
  api: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: port.default(6385),
      tls: tls.default('none'),
      auth: z.enum(['noauth', 'http_basic', 'keystone']).default('noauth'),
      /** htpasswd file with bcrypt hashes (`htpasswd -B`), for http_basic. */
      http_basic_file: z.string().optional(),
      /** The service user that asks Keystone about callers' tokens, for keystone. */
      keystone: keystone.optional(),
    })
    .prefault({}),
  provisioning: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: port.default(6386),
      tls: tls.default('self-signed'),
      /** URL by which machines reach this listener; default: made of host and port. */
      advertise_url: z.url().optional(),
      /** Networks (CIDR) in which agents may be reached although they call from another address (behind NAT, on a second interface). */
      callback_networks: z.array(network).default([]),
    })
    .prefault({}),
  /** What machines boot the ramdisk from. Without this section there is none, and boot interfaces other than `fake` are refused. */
  boot: bootSchema.optional(),
  network: z
    .strictObject({
      /** The program (and its first arguments) that switches networks, for the network interface `exec`. */
      exec_command: z.array(z.string().min(1)).min(1).optional(),
      exec_timeout_s: seconds.default(60),
    })
    .prefault({}),
  ipmi: z
    .strictObject({
      /** How long a command that a BMC does not take is tried again. */
      command_retry_timeout_s: seconds.default(60),
      /** Pause between two commands to one BMC. */
      min_command_interval_s: z.number().nonnegative().max(60).default(0.1),
    })
    .prefault({}),
  agent: z
    .strictObject({
      /** Whether the ramdisk's logs are fetched and kept when its work has ended. */
      deploy_logs_collect: z.enum(['always', 'on_failure', 'never']).default('on_failure'),
      /** Default: below the state directory. */
      deploy_logs_directory: z.string().optional(),
      /** How many are kept for one node. */
      deploy_logs_kept: z.number().int().positive().default(10),
    })
    .prefault({}),
  image_service: z
    .strictObject({
      /** Glance v2 endpoint; without it the embedded image service is started. */
      url: z.url().optional(),
      /** A fixed X-Auth-Token, or the name of a file that holds it. */
      token: z.string().optional(),
      token_file: z.string().optional(),
      /** Tokens are asked of Keystone, and made anew before they end; without `url` the endpoint is that of its catalog. */
      keystone: keystone.optional(),
      ca_file: z.string().optional(),
      timeout_s: seconds.default(60),
      embedded: z.strictObject({ host: z.string().default('127.0.0.1'), port: port.default(9292) }).prefault({}),
    })
    .prefault({}),
  enabled_hardware_types: z.array(z.string()).min(1).default(['redfish']),
  conductor: z
    .strictObject({
      /** What agents are told; they heartbeat at 0.3 to 0.6 of it. */
      heartbeat_timeout_s: seconds.default(300),
      /** How long a wait state waits for the ramdisk. */
      callback_timeout_s: seconds.default(1800),
      /** How often deadlines, stalls and pending boot-backs are looked at. */
      check_interval_s: seconds.default(15),
      lock_attempts: z.number().int().positive().default(3),
      lock_retry_interval_s: seconds.default(1),
      soft_power_off_timeout_s: seconds.default(180),
      power_timeout_s: seconds.default(120),
      /** Pause before a failed boot-back is tried again; doubled each time up to the maximum. */
      boot_back_retry_s: seconds.default(15),
      boot_back_retry_max_s: seconds.default(600),
      agent_timeout_s: seconds.default(60),
      /** How often every node's power state is asked for; 0: never. */
      power_sync_interval_s: z.number().nonnegative().max(400_000).default(60),
      /** Failures in a row after which a node is put into maintenance with the fault `power failure`. */
      power_sync_attempts: z.number().int().positive().default(3),
      /** What a power state that nobody asked for means: it is taken over, or the recorded one is brought about again. */
      force_power_state: z.boolean().default(false),
      /** A conductor that has not been seen for so long is dead: its locks are taken back. */
      conductor_timeout_s: seconds.default(60),
    })
    .prefault({}),
  deploy: z
    .strictObject({
      /** Whether a node is cleaned on its way to `available`, where the node itself does not say. */
      automated_clean: z.boolean().default(true),
      /** Fetched images; default: below the state directory. */
      image_directory: z.string().optional(),
      /** Largest image that is fetched, and largest disk that it may become. */
      max_image_bytes: z.number().int().positive().default(1024 * GIB),
      /** What the file system of fetched images must keep free. */
      image_reserve_bytes: z.number().int().nonnegative().default(2 * GIB),
      /** Directories from which `file:` images may be taken. */
      file_roots: z.array(z.string()).default([]),
      /** Networks (CIDR) of which image URLs may be taken although they are loopback, link-local, the conductor's own or otherwise special. */
      allowed_networks: z.array(network).default([]),
      /** PEM of authorities of https servers of image URLs, besides the public ones that Node.js brings along. */
      ca_file: z.string().optional(),
      fetch_timeout_s: seconds.default(4 * 3600),
      fetch_attempts: z.number().int().positive().default(5),
      write_timeout_s: seconds.default(4 * 3600),
      clean_timeout_s: seconds.default(3600),
      /** Without any progress for so long a deployment fails. */
      stall_timeout_s: seconds.default(300),
    })
    .prefault({}),
  snapshot: snapshotSchema.prefault({}),
});
export type Config = z.infer<typeof configSchema>;

/**
 * Reads the YAML file (if any) and the environment over it: `METALSHOT_API__PORT=6390` sets `api.port`, values are parsed as YAML.
 * @throws InvalidParameterError naming every wrong key.
 */
export async function loadConfig(file: string | undefined, environment: Readonly<Record<string, string | undefined>>): Promise<Config> {
  const document = file === undefined ? {} : await readDocument(file);
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith('METALSHOT_') && value !== undefined) setPath(document, name.slice('METALSHOT_'.length).toLowerCase().split('__'), parseValue(value, name), name);
  }
  return parseConfig(document, file ?? 'the environment');
}

export function parseConfig(document: unknown, source: string): Config {
  const parsed = configSchema.safeParse(document);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top level)'}: ${issue.message}`);
    throw new InvalidParameterError(`The configuration in ${source} is not valid: ${problems.join('; ')}. See docs/configuration.md for all keys.`, { problems });
  }
  const config = parsed.data;
  const exposed = !['127.0.0.1', '::1', 'localhost'].includes(config.api.host);
  if (config.api.auth === 'http_basic' && config.api.http_basic_file === undefined) {
    throw new InvalidParameterError(`api.http_basic_file: required with api.auth: http_basic (a file of user:bcrypt-hash lines, made by "htpasswd -B")`);
  }
  if ((config.api.auth === 'keystone') !== (config.api.keystone !== undefined)) {
    throw new InvalidParameterError(`api.${config.api.keystone ? 'auth: keystone is required with api.keystone, which otherwise protects nothing' : 'keystone: required with api.auth: keystone (auth_url and the credentials of a service user that may ask about tokens)'}`);
  }
  if (config.image_service.keystone && (config.image_service.token ?? config.image_service.token_file) !== undefined) {
    throw new InvalidParameterError(`image_service.${config.image_service.token === undefined ? 'token_file' : 'token'}: not with image_service.keystone, which makes the tokens`);
  }
  if (exposed && (config.api.auth === 'noauth' || config.api.tls === 'none')) {
    throw new InvalidParameterError(`api.host: ${config.api.host} is beyond loopback, where the admin API is served only with authentication and TLS: set api.auth: http_basic or keystone, and api.tls: self-signed (or your certificate), or bind to 127.0.0.1`);
  }
  const advertised = config.provisioning.advertise_url;
  if (advertised !== undefined && (!['http:', 'https:'].includes(new URL(advertised).protocol) || new URL(advertised).pathname !== '/')) {
    throw new InvalidParameterError(`provisioning.advertise_url: expected http(s)://HOST:PORT without a path, found ${advertised}`);
  }
  return { ...config, state_directory: resolve(config.state_directory) };
}

async function readDocument(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidParameterError(`Cannot read the configuration file ${file}: ${(error as Error).message}`, {}, error);
  }
  let document: unknown;
  try {
    document = parse(text) ?? {};
  } catch (error) {
    throw new InvalidParameterError(`${file} is not YAML: ${(error as Error).message}`, {}, error);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new InvalidParameterError(`${file}: expected a YAML mapping of keys, found ${JSON.stringify(document)}`);
  return document as Record<string, unknown>;
}

function parseValue(text: string, variable: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidParameterError(`${variable}: its value is not YAML: ${(error as Error).message}`, {}, error);
  }
}

function setPath(document: Record<string, unknown>, path: readonly string[], value: unknown, variable: string): void {
  let at = document;
  for (const name of path.slice(0, -1)) {
    const inner = (at[name] ??= {});
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) throw new InvalidParameterError(`${variable}: ${name} is not a mapping of keys in the configuration file`);
    at = inner as Record<string, unknown>;
  }
  at[path[path.length - 1] as string] = value;
}
