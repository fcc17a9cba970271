import type { Request, Response, Router } from 'express';
import { MethodNotAllowedError, NotFoundError } from '../../protocol/errors.ts';
import { contextOf, type RequestContext } from './request-context.ts';

export type Handler = (request: Request, response: Response, context: RequestContext) => Promise<void> | void;
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RegisteredResource {
  path: string;
  methods: readonly Method[];
  since: number;
}
const registered = new WeakMap<Router, RegisteredResource[]>();
/** What `resource` has put into this router, in order. */
export const resourcesOf = (router: Router): readonly RegisteredResource[] => registered.get(router) ?? [];

/**
 * One path with its methods. Any other method is 405 with `Allow`; below microversion `since` the path does not exist.
 * A rejected handler reaches the error middleware.
 */
export function resource(router: Router, path: string, methods: Partial<Record<Method, Handler>>, since = 1): void {
  const allowed = Object.keys(methods) as Method[];
  registered.set(router, [...resourcesOf(router), { path, methods: allowed, since }]);
  router.all(path, async (request: Request, response: Response) => {
    const context = contextOf(response);
    if (context.minor < since) throw new NotFoundError('The resource could not be found.');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const handler = methods[method as Method];
    if (!handler) throw new MethodNotAllowedError(request.method, allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed);
    context.routed = true;
    await context.policy(request, path, context.caller);
    await handler(request, response, context);
  });
}

/** 202 or 204 with an empty body. */
export function endEmpty(response: Response, status: 202 | 204, location?: string): void {
  if (location !== undefined) response.location(location);
  response.status(status).setHeader('Content-Length', '0').end();
}

/** A parameter of the path. */
export function parameter(request: Request, name: string): string {
  const value = request.params[name];
  if (typeof value !== 'string') throw new Error(`the route has no parameter ${name}`);
  return value;
}
