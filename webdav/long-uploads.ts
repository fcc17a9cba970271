import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';

/**
 * Has to be called on the listener that serves a share: Node ends a request whose body is not there after five minutes
 * (`requestTimeout`), and an image takes longer. Headers keep their limit of a minute, and an upload that brings no byte
 * is cut by the share itself.
 */
export function allowLongUploads(server: HttpServer | HttpsServer): void {
  server.requestTimeout = 0;
}
