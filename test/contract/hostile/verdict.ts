import type { HostileRequest, WireReply } from './wire.ts';

/** Signs of a program's inside: frames of a stack, places of sources, words of the database. */
const INSIDES = [/\n\s+at .+:\d+:\d+/, /node_modules/, /node:internal/, /\.(ts|js):\d+/, /SQLITE_[A-Z]+/, /QueryFailedError|TypeError|RangeError|SyntaxError/];

/** A message is for a person to read. */
const MAX_MESSAGE_LENGTH = 5_000;

/** What is wrong with this answer; undefined when nothing is. A request that happened to be right may be carried out. */
export function faultOf(request: HostileRequest, reply: WireReply): string | undefined {
  const { status, text, headers } = reply;
  if (status >= 500) return `${status}: a request must never be a failure of the server`;
  if (text === '' && (status === 304 || status === 417)) return undefined; // conditions of HTTP itself, answered without a body
  if (status < 200 || (status >= 300 && status < 400)) return `${status} is neither done nor refused`;
  const leak = INSIDES.find((inside) => inside.test(text)) ?? (text.includes(process.cwd()) ? 'the directory of the program' : undefined);
  if (leak !== undefined) return `the body shows the inside of the program: ${leak}`;
  if (headers['x-injected'] !== undefined) return 'a header was injected';
  if (request.method === 'HEAD') return text === '' ? undefined : 'HEAD has a body';
  if (status < 300) return text === '' || isJson(text) ? undefined : `${status} with a body that is not JSON`;
  return faultOfError(status, text) ?? (status === 405 && !headers['allow'] ? '405 without Allow' : undefined);
}

/** Ironic's shape: a string that holds JSON, with `faultstring` from a resource and `title` and `description` before one. */
function faultOfError(status: number, text: string): string | undefined {
  if (!isJson(text)) return `${status} with a body that is not JSON`;
  const message = (JSON.parse(text) as { error_message?: unknown }).error_message;
  if (typeof message !== 'string' || !isJson(message)) return `${status} without an error_message that holds JSON`;
  const inner = JSON.parse(message) as { faultcode?: unknown; faultstring?: unknown; code?: unknown; title?: unknown; description?: unknown };
  const said = inner.faultstring ?? inner.description;
  if (typeof said !== 'string' || said.trim() === '') return `${status} without a message`;
  if (said.length > MAX_MESSAGE_LENGTH) return `${status} with a message of ${said.length} characters`;
  if (inner.faultstring === undefined ? inner.code !== status || typeof inner.title !== 'string' : inner.faultcode !== 'Client') return `${status} in neither shape of an error`;
  return undefined;
}

/** Whether a resource has looked at the request: it was done, or refused in a resource's own shape. */
export function reachedResource({ status, text }: WireReply): boolean {
  if (status < 300) return true;
  if (!isJson(text)) return false;
  const message = (JSON.parse(text) as { error_message?: string }).error_message ?? '{}';
  return isJson(message) && 'faultstring' in (JSON.parse(message) as object);
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false; // that is the answer
  }
}
