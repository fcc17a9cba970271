import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { LINK_PROBE_HEADER, PROBE_LIMIT_BYTES } from '../../protocol/image-stream.ts';
import { pinnedTls } from '../../protocol/http-client.ts';
import { authorization, type UploadAddress } from './image-upload.ts';

/** Long enough to get over the begin of a TCP connection, short beside any capture; and of a small image no large part. */
const PROBE_MS = 500;
const PART_OF_IMAGE = 1 / 16;
const LEAST_BYTES = 4 * 1024 * 1024;
const LIMIT_MS = 10_000;
const PIECE = Buffer.alloc(256 * 1024, 0x5a);

/**
 * Bytes a second that the way to the share carries, by sending to it for a moment; null when it can not be said: the share
 * is of before, or did not take it. Never throws: it is an estimate.
 */
export function measureLink(address: UploadAddress, imageBytes: number, signal: AbortSignal): Promise<number | null> {
  return new Promise((resolve) => {
    const url = new URL(address.url.endsWith('/') ? 'probe' : `${address.url}/probe`, address.url);
    const limitBytes = Math.min(PROBE_LIMIT_BYTES, Math.max(LEAST_BYTES, imageBytes * PART_OF_IMAGE));
    const startedAt = performance.now();
    let takenBytes = 0;
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      method: 'PUT',
      agent: false,
      signal,
      headers: { 'Transfer-Encoding': 'chunked', [LINK_PROBE_HEADER]: '1', Authorization: authorization(address) },
      ...(address.ca === undefined ? {} : pinnedTls(address.ca)),
    });
    const limit = setTimeout(() => end(null), LIMIT_MS);
    const end = (bytesPerS: number | null): void => {
      clearTimeout(limit);
      request.destroy();
      resolve(bytesPerS);
    };
    const more = (): void => {
      if (performance.now() - startedAt > PROBE_MS || takenBytes + PIECE.length > limitBytes) {
        request.end();
        return;
      }
      request.write(PIECE, (error) => {
        if (error) return;
        takenBytes += PIECE.length;
        more();
      });
    };
    request.once('error', () => end(null));
    // the answer comes when all of it has arrived: what is still on its way counts with its time
    request.once('response', ({ statusCode }) => end(statusCode === 204 && takenBytes > 0 ? takenBytes / ((performance.now() - startedAt) / 1_000) : null));
    more();
  });
}
