import { readFile } from 'node:fs/promises';
import { messageOf } from '../protocol/errors.ts';
import { createHttpClient } from '../protocol/http-client.ts';
import { ApiClient } from './api-client.ts';
import { apiErrorMessage, isPassingTrouble } from './api-error.ts';
import type { CommandContext } from './command.ts';
import { Endpoint, type Connect, type EndpointSettings } from './endpoint.ts';
import { UsageError } from './exit-code.ts';
import { API_ROOTS, type Settings } from './global-options.ts';
import { ImageClient } from './image-client.ts';
import { KeystoneSession } from './keystone.ts';
import type { Output } from './output.ts';

const API_SETTING = '--os-endpoint (OS_ENDPOINT)';
const IMAGE_SETTING = '--os-image-endpoint (OS_IMAGE_ENDPOINT)';

/** The clients of the services as the settings say. Sends nothing: Keystone is asked when a service is first needed. */
export async function createContext(settings: Settings, output: Output, signal: AbortSignal): Promise<CommandContext> {
  const { timeoutMs, maxRetries, retryIntervalMs, insecure } = settings;
  const ca = settings.caFile === undefined ? undefined : await readAuthority(settings.caFile);
  const endpoint = (own: Pick<EndpointSettings, 'service' | 'setting' | 'isPassing' | 'errorMessage'>, connect: Connect): Endpoint =>
    new Endpoint({ timeoutMs, maxRetries, retryIntervalMs, ...own }, connect, createHttpClient({ timeoutMs, ca, insecure }), output, signal);
  const { api, image } = connections(settings, (url) => {
    const keystone = { service: 'Keystone', setting: '--os-auth-url (OS_AUTH_URL)', isPassing: ({ status }: { status: number }) => status === 503 };
    return endpoint(keystone, async () => ({ url, headers: {} }));
  });
  warnOfClearPassword(settings, output);
  return {
    api: new ApiClient(endpoint({ service: 'Bare Metal API', setting: API_SETTING, isPassing: isPassingTrouble, errorMessage: apiErrorMessage }, api), settings.microversion),
    images: new ImageClient(endpoint({ service: 'image service', setting: IMAGE_SETTING, isPassing: ({ status }) => status === 503 }, image)),
    output,
    signal,
  };
}

function connections({ credentials, endpoint, imageEndpoint, imageToken }: Settings, keystoneAt: (url: string) => Endpoint): { api: Connect; image: Connect } {
  if (credentials.kind === 'keystone') {
    const session = new KeystoneSession(credentials.keystone, keystoneAt(credentials.keystone.url));
    const connect = (given: string | undefined, type: 'baremetal' | 'image', setting: string): Connect => async (renew, signal) => ({
      headers: { 'X-Auth-Token': await session.token(renew, signal) },
      url: given ?? (await session.urlOf(type, API_ROOTS[type], setting, signal)),
      renewable: true,
    });
    return { api: connect(endpoint, 'baremetal', API_SETTING), image: connect(imageEndpoint, 'image', IMAGE_SETTING) };
  }
  const authorization: Record<string, string> = credentials.kind === 'http_basic' ? { Authorization: credentials.authorization } : {};
  const token: Record<string, string> = imageToken === undefined ? {} : { 'X-Auth-Token': imageToken };
  return { api: async () => ({ url: endpoint ?? '', headers: authorization }), image: async () => ({ url: imageEndpoint ?? '', headers: token }) };
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--os-cacert (OS_CACERT): cannot be read: ${messageOf(error)}`);
  }
}

function warnOfClearPassword({ endpoint, credentials }: Settings, output: Output): void {
  const receiver = credentials.kind === 'keystone' ? credentials.keystone.url : credentials.kind === 'http_basic' ? endpoint : undefined;
  if (receiver === undefined) return;
  const { protocol, hostname } = new URL(receiver);
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  if (protocol === 'http:' && !isLoopback) output.say(`warning: the password goes to ${hostname} unencrypted; use https`);
}
