import type { JsonObject } from '../protocol/json.ts';
import type { Arguments } from './arguments.ts';
import { UsageError } from './exit-code.ts';
import { readUrl, variable, type Environment } from './settings-values.ts';

/** What a person proves who they are with, and to whom. */
export type Credentials =
  | { kind: 'none' }
  /** Value of the Authorization header for the Bare Metal API; the image service gets none of it. */
  | { kind: 'http_basic'; authorization: string }
  | { kind: 'keystone'; keystone: KeystoneSettings };

export interface KeystoneSettings {
  /** With its version: `http://host:5000/v3`. */
  url: string;
  /** `auth.identity` and `auth.scope` of `POST /v3/auth/tokens`. */
  identity: JsonObject;
  scope: JsonObject | undefined;
  /** Who asks, for messages. */
  who: string;
  region: string | undefined;
  interface: string;
}

/** Names as the stock client has them; the `v3` ones are the same here. */
export const AUTH_TYPES = ['none', 'http_basic', 'password', 'v3password', 'v3applicationcredential', 'token', 'v3token'] as const;
type AuthType = (typeof AUTH_TYPES)[number];

/**
 * Options first, then the environment. Without a type: `password` when there is an OS_AUTH_URL, as with the stock client, else `none`.
 * @throws UsageError that names what is missing.
 */
export function readCredentials(args: Arguments, env: Environment): Credentials {
  const setting = (name: string): string | undefined => args.text(name) ?? variable(env, name.replaceAll('-', '_').toUpperCase());
  const type = setting('os-auth-type') ?? (setting('os-auth-url') === undefined ? 'none' : 'password');
  if (!isAuthType(type)) throw new UsageError(`OS_AUTH_TYPE expects one of ${AUTH_TYPES.join(', ')}, got "${type}"`);
  if (type === 'none') return { kind: 'none' };
  if (type === 'http_basic') return { kind: 'http_basic', authorization: basicAuthorization(setting('os-username'), setting('os-password')) };
  const required = (name: string): string => {
    const value = setting(name);
    if (value === undefined) throw new UsageError(`--os-auth-type ${type} needs --${name} (${name.replaceAll('-', '_').toUpperCase()})`);
    return value;
  };
  const { identity, who, isScoped } = identityOf(type, setting, required);
  return {
    kind: 'keystone',
    keystone: {
      url: keystoneUrl(required('os-auth-url')),
      identity,
      scope: isScoped ? undefined : scopeOf(setting),
      who,
      region: setting('os-region-name'),
      interface: (setting('os-interface') ?? 'public').replace(/URL$/, ''),
    },
  };
}

const isAuthType = (text: string): text is AuthType => (AUTH_TYPES as readonly string[]).includes(text);
type Setting = (name: string) => string | undefined;

function basicAuthorization(username: string | undefined, password: string | undefined): string {
  if (username === undefined || password === undefined) throw new UsageError('http_basic needs a user and a password: OS_USERNAME and OS_PASSWORD');
  if (username.includes(':')) throw new UsageError('--os-username (OS_USERNAME) must not contain a colon: http_basic cannot carry it');
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

function keystoneUrl(text: string): string {
  const url = readUrl(text, '--os-auth-url (OS_AUTH_URL)', /\/+$/);
  if (/\/v2(\.0)?$/.test(url)) throw new UsageError('--os-auth-url (OS_AUTH_URL): Keystone v2 is not spoken here; give the address that ends in /v3');
  return url.endsWith('/v3') ? url : `${url}/v3`;
}

/** An application credential brings its project with it; the others need a scope. */
function identityOf(type: Exclude<AuthType, 'none' | 'http_basic'>, setting: Setting, required: (name: string) => string): { identity: JsonObject; who: string; isScoped: boolean } {
  switch (type) {
    case 'password':
    case 'v3password': {
      const id = setting('os-user-id');
      const user: JsonObject = id === undefined ? { name: required('os-username'), domain: domainOf(setting, 'os-user-domain') } : { id };
      return { identity: { methods: ['password'], password: { user: { ...user, password: required('os-password') } } }, who: `user ${id ?? required('os-username')}`, isScoped: false };
    }
    case 'v3applicationcredential': {
      const id = setting('os-application-credential-id');
      const secret = required('os-application-credential-secret');
      if (id !== undefined) return { identity: { methods: ['application_credential'], application_credential: { id, secret } }, who: `application credential ${id}`, isScoped: true };
      const name = setting('os-application-credential-name');
      if (name === undefined) throw new UsageError(`--os-auth-type ${type} needs --os-application-credential-id (OS_APPLICATION_CREDENTIAL_ID)`);
      const user: JsonObject = setting('os-user-id') === undefined ? { name: required('os-username'), domain: domainOf(setting, 'os-user-domain') } : { id: required('os-user-id') };
      return { identity: { methods: ['application_credential'], application_credential: { name, secret, user } }, who: `application credential ${name}`, isScoped: true };
    }
    case 'token':
    case 'v3token':
      return { identity: { methods: ['token'], token: { id: required('os-token') } }, who: 'the token of OS_TOKEN', isScoped: false };
  }
}

function scopeOf(setting: Setting): JsonObject | undefined {
  if (setting('os-system-scope') !== undefined) return { system: { all: true } };
  const id = setting('os-project-id');
  if (id !== undefined) return { project: { id } };
  const name = setting('os-project-name');
  return name === undefined ? undefined : { project: { name, domain: domainOf(setting, 'os-project-domain') } };
}

/** By id, by name, or the domain that every Keystone begins with. */
function domainOf(setting: Setting, prefix: 'os-user-domain' | 'os-project-domain'): JsonObject {
  const id = setting(`${prefix}-id`);
  const name = setting(`${prefix}-name`);
  return id === undefined && name !== undefined ? { name } : { id: id ?? 'default' };
}
