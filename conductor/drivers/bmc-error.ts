import { OperationFailedError } from '../../protocol/errors.ts';

export interface BmcFailure {
  /** HTTP status of the answer; null: there was none. */
  status: number | null;
  /** Whether the same request may succeed a little later. */
  passing: boolean;
  /** Whether the BMC may have done what was asked although it did not say so. */
  mayHaveActed: boolean;
  /** Milliseconds that the BMC asks to wait before the next try. */
  retryAfterMs?: number;
}

/** A BMC that does not answer, or not as asked. The message holds no secret. */
export class BmcError extends OperationFailedError {
  readonly failure: BmcFailure;

  constructor(message: string, failure: BmcFailure) {
    super(message, { ...failure });
    this.failure = failure;
  }
}

/** What a Redfish service says about a failure (`@Message.ExtendedInfo`, DSP0266 "Error responses"), or '' when it says nothing. */
export function extendedInfoOf(body: unknown): string {
  const error = member(body, 'error');
  const messages = [member(error, '@Message.ExtendedInfo'), member(body, '@Message.ExtendedInfo')].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  const texts = messages.map((message) => [member(message, 'Message') ?? member(message, 'MessageId'), member(message, 'Resolution')].filter((part) => typeof part === 'string' && part !== '' && part !== 'None').join(' '));
  const said = texts.filter((text) => text !== '');
  const general = member(error, 'message');
  if (said.length === 0 && typeof general === 'string') said.push(general);
  return [...new Set(said)].join('; ').replace(/\s+/g, ' ').slice(0, 1_000);
}

const member = (value: unknown, name: string): unknown => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined);

/** Errors of the network after which another try makes sense; the last one: an answer that was cut. */
const PASSING_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'EAI_AGAIN', 'ERR_BAD_RESPONSE']);
/** Errors that come before any byte of the request has left. */
const UNDELIVERED_CODES = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'EAI_AGAIN', 'ENOTFOUND']);

export function networkFailure(code: string): BmcFailure & { hint: string } {
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ISSUER/.test(code);
  return {
    status: null,
    passing: PASSING_CODES.has(code),
    mayHaveActed: !certificate && !UNDELIVERED_CODES.has(code),
    hint: certificate ? ': its certificate is not trusted; set redfish_verify_ca to the PEM of this certificate or of its authority' : code === 'ENOTFOUND' ? ': its name is not known; check redfish_address' : code === 'EPROTO' || code.startsWith('HPE_') ? ': check whether redfish_address says http or https as the BMC does' : '',
  };
}

/** Statuses of an answer that may be better a little later: 5xx and 429, but not "not implemented". */
export const isPassingStatus = (status: number): boolean => status === 429 || (status >= 500 && status !== 501 && status !== 505);
/** "Too many requests" and "unavailable" say that nothing was done; other server errors leave it open. */
export const mayHaveActed = (status: number): boolean => status >= 500 && status !== 501 && status !== 503;
