import type { AxiosResponse } from 'axios';
import { CommandFailure, EXIT, type ExitCode } from './exit-code.ts';
import { joinSentences } from './sentences.ts';

/**
 * What the Bare Metal API says in an error: `{"error_message": "<string holding JSON>"}`, with `faultstring` from its
 * controllers, `title` and `description` from its routing. Undefined when the body is not of that kind.
 */
export function apiErrorMessage(body: unknown): string | undefined {
  if (!isObject(body) || !('error_message' in body)) return undefined;
  const inner = typeof body.error_message === 'string' ? parseObject(body.error_message) : body.error_message;
  if (!isObject(inner)) return String(inner).trim();
  for (const text of [inner.faultstring, inner.description, inner.title]) if (typeof text === 'string' && text.trim() !== '') return text.trim();
  return JSON.stringify(inner);
}

/** The failure that a reply with an error status stands for. `asked` names the request (`PUT http://…`) where the reply says nothing. */
export function failureOfReply(response: AxiosResponse<unknown>, asked: string, setting: string): CommandFailure {
  const { status } = response;
  const said = apiErrorMessage(response.data);
  if (said === undefined && (status < 400 || status === 404)) {
    return new CommandFailure(EXIT.unavailable, `${asked} answered ${status} and not as a Bare Metal API does; check ${setting}`);
  }
  const message = said ?? `${asked} answered ${status} without a reason`;
  return new CommandFailure(exitCodeOfStatus(status), status === 401 ? joinSentences(message, CREDENTIALS_ADVICE) : message);
}

const CREDENTIALS_ADVICE = 'Credentials are missing or wrong: use --os-auth-type http_basic with OS_USERNAME and OS_PASSWORD, or Keystone with OS_AUTH_URL.';

/** 503, and the 409 of a node that somebody works on at the moment; a 409 of a name that is taken or of a state stays what it is. */
export const isPassingTrouble = ({ status, data }: AxiosResponse<unknown>): boolean =>
  status === 503 || (status === 409 && /is locked by host|NodeLocked/.test(apiErrorMessage(data) ?? ''));

export function exitCodeOfStatus(status: number): ExitCode {
  if (status === 404) return EXIT.notFound;
  if (status === 409) return EXIT.conflict;
  return status >= 400 && status < 500 ? EXIT.refused : EXIT.unavailable;
}

export const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseObject(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : text;
  } catch {
    return text; // some proxies put plain text there: then that is the message
  }
}
