import express, { Router, type Express, type RequestHandler } from 'express';
import { NotFoundError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { createErrorMiddleware } from './error-middleware.ts';
import { announceVersions, negotiateVersion } from './microversion.ts';
import type { Policy } from './policy.ts';
import { refuseDeepBodies } from './nesting.ts';
import { contextOf } from './request-context.ts';
import { baseUrlOf } from './request-host.ts';

export interface ApplicationOptions {
  log: Logger;
  publicUrl?: string;
  auth: RequestHandler;
  policy: Policy;
  /** Of a request's body; more is 413. */
  bodyLimitBytes: number;
  /** Adds resources to the root (`/`) and below `/v1`. */
  routes: (root: Router, v1: Router) => void;
}

/** What both listeners have in common, in order: identity and versions on every reply, who asks, which version, the body, the resources, the errors. */
export function createApplication(options: ApplicationOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  const [root, v1] = [Router(), Router()];
  options.routes(root, v1);
  app.use(addVersion);
  app.use(identify(options));
  app.use(announceVersions);
  app.use(options.auth);
  app.use(negotiateVersion);
  app.use(express.json({ limit: options.bodyLimitBytes, type: () => true }));
  app.use(refuseDeepBodies);
  app.use('/v1', v1);
  app.use(root);
  app.use(() => {
    throw new NotFoundError('The resource could not be found.');
  });
  app.use(createErrorMiddleware(options.log));
  return app;
}

/** As in Ironic, an address without a version means the only one: links with `rel: bookmark` are such. */
const addVersion: RequestHandler = (request, _response, next) => {
  if (!/^\/(v1)?([/?]|$)/.test(request.url)) request.url = `/v1${request.url}`;
  next();
};

function identify({ log, publicUrl, policy }: ApplicationOptions): RequestHandler {
  return (request, response, next) => {
    const context = contextOf(response);
    const startedAt = performance.now();
    context.policy = policy;
    context.baseUrl = publicUrl?.replace(/\/+$/, '') ?? baseUrlOf(request);
    response.setHeader('Openstack-Request-Id', context.requestId);
    response.on('finish', () => log.debug({ requestId: context.requestId, method: request.method, path: request.originalUrl.replace(/\?.*/, ''), status: response.statusCode, user: context.caller.user, durationMs: Math.round(performance.now() - startedAt) }, 'request'));
    next();
  };
}
