import type { RequestHandler } from 'express';
import { InvalidParameterError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import type { KeystoneCredentials } from '../image-service/keystone-credentials.ts';
import { KeystoneSession } from '../image-service/keystone-session.ts';
import { noToken, staticToken, type TokenProvider } from '../image-service/token-provider.ts';
import { httpBasic, noAuth } from './api/authentication.ts';
import { keystone } from './api/keystone-authentication.ts';
import { readNamedFile } from './app-settings.ts';
import type { Config, KeystoneConfig } from './config.ts';

/** Where the image service is and with what token it is spoken to. */
export interface ImageAccess {
  url: string | (() => Promise<string>);
  /** For people. */
  shownUrl: string;
  token: TokenProvider;
}

/**
 * What `image_service` says; Keystone is first asked when a token is needed, so that a conductor starts without it.
 * @param startEmbedded called only when no image service is configured.
 */
export async function imageAccess({ image_service: section }: Config, startEmbedded: () => Promise<string>): Promise<ImageAccess> {
  const session = section.keystone && (await openSession('image_service.keystone', section.keystone));
  if (session && section.url === undefined) return { url: () => session.endpoint('image'), shownUrl: `the image service in the catalog of ${section.keystone?.auth_url}`, token: session };
  const url = section.url ?? (await startEmbedded());
  return { url, shownUrl: url, token: session ?? (await fixedToken(section)) };
}

/** The middleware that `api.auth` asks for. */
export async function apiAuthentication({ api }: Config, log: Logger): Promise<RequestHandler> {
  if (api.auth === 'http_basic' && api.http_basic_file !== undefined) return httpBasic(api.http_basic_file);
  if (api.auth === 'noauth') return noAuth();
  if (api.auth !== 'keystone' || !api.keystone) throw new InvalidParameterError(`api.auth: ${api.auth} lacks its settings`); // never open by mistake
  const session = await openSession('api.keystone', api.keystone);
  return keystone({ authUrl: api.keystone.auth_url, inspect: (token) => session.inspect(token), log });
}

async function fixedToken({ token, token_file: file }: Config['image_service']): Promise<TokenProvider> {
  if (token !== undefined) return staticToken(token);
  return file === undefined ? noToken : staticToken(await readNamedFile('image_service.token_file', file));
}

async function openSession(configKey: string, section: KeystoneConfig): Promise<KeystoneSession> {
  const credentials = credentialsOf(configKey, section);
  await credentials.secret(); // a file that cannot be read is told at the start
  return new KeystoneSession({
    authUrl: section.auth_url,
    credentials,
    configKey,
    interface: section.interface,
    ...(section.region === undefined ? {} : { region: section.region }),
    ...(section.ca_file === undefined ? {} : { ca: await readNamedFile(`${configKey}.ca_file`, section.ca_file) }),
    timeoutMs: Math.round(section.timeout_s * 1000),
  });
}

/** The configuration has exactly one kind of them: see config.ts. */
function credentialsOf(configKey: string, section: KeystoneConfig): KeystoneCredentials {
  const secret = (name: 'password' | 'application_credential_secret') => (): Promise<string> => {
    const [value, file] = [section[name], section[`${name}_file`]];
    return value === undefined && file !== undefined ? readNamedFile(`${configKey}.${name}_file`, file) : Promise.resolve(value ?? '');
  };
  if (section.application_credential_id !== undefined) return { kind: 'application credential', id: section.application_credential_id, secret: secret('application_credential_secret') };
  return {
    kind: 'password',
    username: section.username ?? '',
    userDomainName: section.user_domain_name,
    projectName: section.project_name ?? '',
    projectDomainName: section.project_domain_name,
    secret: secret('password'),
  };
}
