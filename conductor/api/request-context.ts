import { randomUUID } from 'node:crypto';
import type { Response } from 'express';
import { ForbiddenError } from '../../protocol/errors.ts';
import type { Caller } from '../workflow/workflow.ts';
import type { Policy } from './policy.ts';

/** What is known of a request besides its own words; one a response, filled on the way in. */
export interface RequestContext {
  requestId: string;
  /** The microversion's minor number. */
  minor: number;
  /** Without a trailing slash. */
  baseUrl: string;
  caller: Caller;
  /** Asked by every resource before its handler. */
  policy: Policy;
  /** Whether a resource took the request: errors before that are shaped as Ironic's routing errors. */
  routed: boolean;
}

/** Until the application has set its own. */
const refuseAll: Policy = () => Promise.reject(new ForbiddenError('This service has no policy for the request.'));

const contexts = new WeakMap<Response, RequestContext>();

/** The context of the request that this response answers. */
export function contextOf(response: Response): RequestContext {
  const known = contexts.get(response);
  if (known) return known;
  const context: RequestContext = { requestId: `req-${randomUUID()}`, minor: 1, baseUrl: '', caller: { user: 'anonymous', projectId: null, access: 'reader' }, policy: refuseAll, routed: false };
  contexts.set(response, context);
  return context;
}
