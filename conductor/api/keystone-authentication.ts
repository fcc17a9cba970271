import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { messageOf, TemporarilyUnavailableError, UnauthorizedError } from '../../protocol/errors.ts';
import type { KeystoneToken } from '../../protocol/keystone.ts';
import type { Logger } from '../../protocol/log.ts';
import { PUBLIC_PATHS } from './authentication.ts';
import { callerOf } from './keystone-caller.ts';
import { KeystoneTokenCache, type InspectToken } from './keystone-token-cache.ts';
import { contextOf } from './request-context.ts';

export interface KeystoneAuthenticationOptions {
  /** Where callers get their tokens; told to those who come without. */
  authUrl: string;
  inspect: InspectToken;
  /** Milliseconds for which Keystone's word on a token is kept: a revoked one may pass for so long. Default 60 s. */
  keepMs?: number;
  log: Logger;
}

const KEEP_MS = 60_000;

/** Authentication by Keystone's tokens (`X-Auth-Token`): 401 without a good one, 403 for one without a role here, 503 while Keystone cannot be asked. */
export function keystone({ authUrl, inspect, keepMs = KEEP_MS, log }: KeystoneAuthenticationOptions): RequestHandler {
  const tokens = new KeystoneTokenCache(inspect, keepMs);
  const authenticate = async (request: Request, response: Response): Promise<void> => {
    if (PUBLIC_PATHS.includes(request.path)) return;
    const token = request.get('X-Auth-Token');
    const found = token === undefined || !isPlain(token) ? null : await tokens.look(token).catch((error: unknown) => unanswered(error, log));
    if (!found) {
      response.setHeader('WWW-Authenticate', `Keystone uri="${authUrl}"`);
      throw new UnauthorizedError(token === undefined ? 'Authentication required: send a token of Keystone as X-Auth-Token' : 'The token is not valid, or not any more: get a new one from Keystone');
    }
    contextOf(response).caller = callerOf(found);
  };
  return (request: Request, response: Response, next: NextFunction) => {
    authenticate(request, response).then(() => next(), next);
  };
}

/** A header may hold bytes that cannot be sent on in one. */
const isPlain = (token: string): boolean => /^[\x21-\x7e]+$/.test(token);

/** The reason names our own user: it is for the log, not for somebody who has not signed in. */
function unanswered(error: unknown, log: Logger): KeystoneToken | null {
  log.error({ error: messageOf(error) }, 'a token could not be validated');
  throw new TemporarilyUnavailableError('Keystone can not be asked about the token at the moment: try again later, and see the log of the conductor if it lasts', {}, error);
}
