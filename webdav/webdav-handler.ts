import { Readable } from 'node:stream';
import type { Request, Response } from 'express';
import { v2 as webdav } from 'webdav-server';
import type { Logger } from '../protocol/log.ts';
import { LOCK_TIMEOUT_S } from './lock-table.ts';
import { SERVED_METHODS, type AdmittedRequest } from './request-admission.ts';
import type { ShareDirectory } from './share-directory.ts';
import { ShareFileSystem } from './share-file-system.ts';

export type WebdavHandler = (request: Request, response: Response, admitted: AdmittedRequest) => void;

/**
 * webdav-server for one snapshot's directory, by its express extension: it has no other file system, knows one user and
 * no method that we do not serve, and is forgotten with the directory.
 * @param path of the directory's URL.
 */
export function createWebdavHandler(directory: ShareDirectory, path: string, idleTimeoutMs: number, log: Logger): WebdavHandler {
  const user: webdav.IUser = { uid: directory.snapshotUuid, username: directory.snapshotUuid };
  const server = new webdav.WebDAVServer({
    rootFileSystem: new ShareFileSystem(directory, idleTimeoutMs, log),
    // who asks is settled before a request comes here, by the credential of the directory
    requireAuthentification: true,
    httpAuthentication: { askForAuthentication: () => NO_CHALLENGE, getUser: (_context, callback) => callback(NO_ERROR, user) },
    respondWithPaths: true,
    maxRequestDepth: 1,
    lockTimeout: LOCK_TIMEOUT_S,
    serverName: 'metalshot',
    version: '1',
  });
  for (const method of Object.keys(server.methods)) {
    if (!(SERVED_METHODS as readonly string[]).includes(method.toUpperCase())) delete server.methods[method];
  }
  const extension = webdav.extensions.express(path, server);
  return (request, response, admitted) => {
    extension(forward(request, admitted), response, () => undefined); // `next` is for other paths than its own
    if (response.headersSent) return;
    for (const name of ['Access-Control-Allow-Origin', 'Access-Control-Allow-Credentials', 'Access-Control-Expose-Headers']) response.removeHeader(name); // no browser is meant to come here
  };
}

const NO_CHALLENGE: { [name: string]: string } = {};
/** What its callbacks take for "no error"; the types ask for an Error. */
const NO_ERROR = null as unknown as Error;

/** The request as webdav-server is to see it. A body that has been read is played back; a PUT stays the client's stream. */
function forward(request: Request, { headers, body }: AdmittedRequest): unknown {
  const url = request.originalUrl.split(/[?#]/, 1)[0] ?? '';
  if (body === null) {
    request.headers = headers;
    request.url = url;
    return request;
  }
  return Object.assign(Readable.from(body === '' ? [] : [Buffer.from(body)]), { method: request.method, url, headers });
}
