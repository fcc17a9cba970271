import { readFile } from 'node:fs/promises';
import { messageOf } from '../protocol/errors.ts';
import { createHttpClient } from '../protocol/http-client.ts';
import { ApiClient } from './api-client.ts';
import { apiErrorMessage } from './api-error.ts';
import type { CommandContext } from './command.ts';
import { parseCommandLine } from './command-line.ts';
import { Endpoint } from './endpoint.ts';
import { CommandFailure, EXIT, UsageError, type ExitCode } from './exit-code.ts';
import { readOutputSettings, readSettings, type Environment, type Settings } from './global-options.ts';
import { ImageClient } from './image-client.ts';
import { Output, type OutputStream } from './output.ts';

export interface Streams {
  stdout: OutputStream;
  stderr: OutputStream;
}

const NO_SETTINGS = { format: 'table', columns: [], debug: false } as const;

/**
 * One run of the command line, from its words to its exit code; everything that goes wrong has been said on stderr.
 * @param interrupt fires when the person presses Ctrl-C.
 */
export async function run(argv: readonly string[], env: Environment, { stdout, stderr }: Streams, interrupt: AbortSignal = new AbortController().signal): Promise<ExitCode> {
  let output = new Output(stdout, stderr, NO_SETTINGS);
  try {
    const parsed = parseCommandLine(argv, stdout.columns ?? 100);
    if ('text' in parsed) {
      output.text(parsed.text);
      return EXIT.ok;
    }
    output = new Output(stdout, stderr, readOutputSettings(parsed.args));
    await parsed.command.run(await createContext(readSettings(parsed.args, env), output, interrupt), parsed.args);
    return EXIT.ok;
  } catch (error) {
    output.problem(messageOf(error));
    if (error instanceof Error && error.stack !== undefined && !(error instanceof CommandFailure)) output.debug(error.stack);
    return error instanceof CommandFailure ? error.exitCode : EXIT.operationFailed;
  }
}

async function createContext(settings: Settings, output: Output, signal: AbortSignal): Promise<CommandContext> {
  const { timeoutMs, maxRetries, retryIntervalMs, insecure, endpoint, imageEndpoint } = settings;
  const ca = settings.caFile === undefined ? undefined : await readAuthority(settings.caFile);
  const shared = { timeoutMs, ca, insecure };
  const retries = { timeoutMs, maxRetries, retryIntervalMs };
  warnOfClearPassword(settings, output);
  const api = new Endpoint(
    { ...retries, service: 'Bare Metal API', setting: '--os-endpoint (OS_ENDPOINT)', url: endpoint, retryStatuses: [409, 503], errorMessage: apiErrorMessage },
    createHttpClient({ ...shared, baseURL: endpoint, headers: settings.authorization === undefined ? {} : { Authorization: settings.authorization } }),
    output,
    signal,
  );
  const images = new Endpoint(
    { ...retries, service: 'image service', setting: '--os-image-endpoint (OS_IMAGE_ENDPOINT)', url: imageEndpoint, retryStatuses: [503] },
    createHttpClient({ ...shared, baseURL: imageEndpoint, headers: settings.imageToken === undefined ? {} : { 'X-Auth-Token': settings.imageToken } }),
    output,
    signal,
  );
  return { api: new ApiClient(api, settings.microversion), images: new ImageClient(images), output, signal };
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--os-cacert (OS_CACERT): cannot be read: ${messageOf(error)}`);
  }
}

function warnOfClearPassword({ endpoint, authorization }: Settings, output: Output): void {
  const { protocol, hostname } = new URL(endpoint);
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  if (authorization !== undefined && protocol === 'http:' && !isLoopback) output.say(`warning: the password goes to ${hostname} unencrypted; use https`);
}
