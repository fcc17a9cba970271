import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../protocol/log.ts';

const PATH_LIMIT_CHARACTERS = 512;

/** What is learned of a request while it is served. */
interface AccessRecord {
  snapshot: string | null;
  receivedBytes: () => number;
}

const records = new WeakMap<ServerResponse, AccessRecord>();

/** One line for each request once it has ended: method, path, status, bytes of its body, snapshot, milliseconds; nothing of its headers. */
export function recordAccess(request: IncomingMessage & { originalUrl: string }, response: ServerResponse, log: Logger): void {
  const record: AccessRecord = { snapshot: null, receivedBytes: () => 0 };
  records.set(response, record);
  const startedAt = performance.now();
  const { method, originalUrl } = request;
  const path = (originalUrl.split(/[?#]/, 1)[0] ?? '').slice(0, PATH_LIMIT_CHARACTERS);
  response.once('close', () => {
    const isAnswered = response.writableFinished;
    log.info(
      {
        method,
        path,
        status: isAnswered ? response.statusCode : 0,
        bytes: record.receivedBytes(),
        snapshot: record.snapshot,
        ms: Math.round(performance.now() - startedAt),
        ...(isAnswered ? {} : { aborted: true }),
      },
      'share request',
    );
  });
}

/** Whose directory the request is for, once its credential is known. */
export function noteSnapshot(response: ServerResponse, snapshotUuid: string): void {
  const record = records.get(response);
  if (record) record.snapshot = snapshotUuid;
}

/** Where the number of bytes received is to be asked for when the request ends. */
export function noteBytes(response: ServerResponse, receivedBytes: () => number): void {
  const record = records.get(response);
  if (record) record.receivedBytes = receivedBytes;
}
