import type { Express, Request, RequestHandler, Response } from 'express';
import { MethodNotAllowedError } from '../../protocol/errors.ts';

type Handler = (request: Request, response: Response) => void | Promise<void>;
/** Handlers by path and method. */
export type RouteTable = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

/** The requests whose handlers are still at work. */
export class OpenRequests {
  readonly #work = new Map<Request, Promise<void>>();

  async run(request: Request, handler: () => void | Promise<void>): Promise<void> {
    const work = Promise.resolve().then(handler);
    this.#work.set(request, work);
    try {
      await work;
    } finally {
      this.#work.delete(request);
    }
  }

  /** Breaks every connection with a request under way; resolves when their handlers have cleaned up. */
  async endAll(): Promise<void> {
    for (const request of this.#work.keys()) request.destroy();
    await Promise.allSettled(this.#work.values());
  }
}

/** Serves the table; a method that a path does not have (HEAD too, as with Glance) is refused with 405. */
export function serveRoutes(app: Express, table: RouteTable, requests: OpenRequests, ...before: RequestHandler[]): void {
  for (const [path, handlers] of Object.entries(table)) {
    app.all(path, ...before, (request, response) => {
      const handler = Object.hasOwn(handlers, request.method) ? handlers[request.method] : undefined;
      if (handler === undefined) throw new MethodNotAllowedError(request.method, Object.keys(handlers));
      return requests.run(request, () => handler(request, response));
    });
  }
}
