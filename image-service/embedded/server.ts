import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express, { type Express, type Request } from 'express';
import { NotFoundError, OperationFailedError, TemporarilyUnavailableError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { dataRoutes } from './data-routes.ts';
import { discoveryRoutes, versionsDocument } from './discovery-routes.ts';
import { errorReply } from './error-reply.ts';
import { ImageData } from './image-data.ts';
import { PATCH_TYPES } from './image-patch.ts';
import { imageRoutes, mediaTypeOf } from './image-routes.ts';
import { ImageStore } from './image-store.ts';
import { OpenRequests, serveRoutes } from './routing.ts';

export interface ImageServerOptions {
  /** Everything is kept below it; made when missing. For one process at a time. */
  directory: string;
  log: Logger;
}

export interface ImageServer {
  /** Speaks Glance API v2. A server of one's own around it must set `requestTimeout = 0`, as listenImageServer does. */
  app: Express;
  /** Resolves when the stored images are known. @throws OperationFailedError when they cannot be read. */
  ready(): Promise<void>;
  /** Ends transfers under way, as a broken connection would, and resolves when everything is settled on the disk. */
  close(): Promise<void>;
}

const MAX_JSON_BYTES = 1024 * 1024;

/** A Glance-compatible image service with a file store and without authentication: who may reach it is its listener's matter. */
export function createImageServer({ directory, log }: ImageServerOptions): ImageServer {
  const store = new ImageStore(join(directory, 'images'));
  const data = new ImageData(directory);
  const requests = new OpenRequests();
  let isClosing = false;
  let loading: Promise<void> | undefined;
  const ready = (): Promise<void> => (loading ??= load(store, data, log));

  const app = express();
  app.disable('x-powered-by').disable('etag').enable('strict routing').enable('case sensitive routing');
  app.use(async (_request, response, next) => {
    response.set('X-Openstack-Request-Id', `req-${randomUUID()}`);
    if (isClosing) throw new TemporarilyUnavailableError('The image service is stopping.');
    await ready();
    next();
  });
  const readText = express.text({ limit: MAX_JSON_BYTES, defaultCharset: 'utf-8', type: (request) => request.method === 'POST' || (request.method === 'PATCH' && PATCH_TYPES.includes(mediaTypeOf(request as Request) ?? '')) });
  serveRoutes(app, discoveryRoutes(), requests);
  serveRoutes(app, dataRoutes(store, data, log), requests);
  serveRoutes(app, imageRoutes(store, data), requests, readText);
  app.use('/v2', () => {
    throw new NotFoundError();
  });
  // Any other path: these are the versions there are.
  app.use((request, response) => void response.status(300).json(versionsDocument(request)));
  app.use(errorReply(log));

  return {
    app,
    ready,
    close: async () => {
      isClosing = true;
      await requests.endAll();
      await store.settled();
    },
  };
}

async function load(store: ImageStore, data: ImageData, log: Logger): Promise<void> {
  await store.load();
  const withData = store.all().filter((image) => image.status === 'active' || image.status === 'deactivated');
  for (const id of await data.recover(new Map(withData.map((image) => [image.id, image.size ?? 0])))) log.error({ image: id }, 'the data of an image is missing or has another size than it had');
}

/** Listens, with the limits that long uploads need. Port 0: any. `close` ends connections and the image server. */
export async function listenImageServer(images: ImageServer, { host, port }: { host: string; port: number }): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer(images.app);
  server.requestTimeout = 0; // node's 300 s would cut every longer upload; transfers have their own stall limit
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new OperationFailedError(`The image service cannot listen on ${host}:${port}: ${error.code === 'EADDRINUSE' ? 'another program does; choose another port' : error.message}`, { host, port }, error)));
    server.listen(port, host, resolve);
  });
  // Only now, when the port is ours: a second process that was started by mistake must not touch the first one's files.
  await images.ready().catch((error: unknown) => {
    server.close();
    throw error;
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await images.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
