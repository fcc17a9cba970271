import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { ForbiddenError, InvalidParameterError, NotFoundError, messageOf } from '../../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../../protocol/image.ts';
import type { Logger } from '../../protocol/log.ts';
import { parseByteRange } from './byte-range.ts';
import type { ImageData } from './image-data.ts';
import { idOf, mediaTypeOf } from './image-routes.ts';
import type { ImageStore } from './image-store.ts';
import { gone, unsupportedMedia } from './refusal.ts';
import type { RouteTable } from './routing.ts';
import { virtualSizeBytes } from './virtual-size.ts';

const DATA_TYPE = 'application/octet-stream';
/** A transfer whose peer neither sends nor takes a byte for so long is ended. */
const STALL_TIMEOUT_MS = 300_000;

/** Upload and download of images' data. */
export const dataRoutes = (store: ImageStore, data: ImageData, log: Logger): RouteTable => ({
  '/v2/images/:id/file': {
    GET: (request, response) => download(store, data, log, request, response),
    PUT: (request, response) => upload(store, data, log, request, response),
  },
});

/**
 * queued -> saving -> active, or back to queued with nothing left when the body is cut, the disk is full or anything
 * else fails. The image becomes active only with all its data and digests on the disk.
 */
async function upload(store: ImageStore, data: ImageData, log: Logger, request: Request, response: Response): Promise<void> {
  const id = idOf(request);
  if (mediaTypeOf(request) !== DATA_TYPE) throw unsupportedMedia(mediaTypeOf(request), [DATA_TYPE]);
  store.beginSaving(id);
  const checkWanted = (): void => {
    if (!store.has(id)) throw gone(id);
  };
  request.setTimeout(STALL_TIMEOUT_MS, () => request.destroy(new Error(`no data for ${STALL_TIMEOUT_MS / 1_000} s`)));
  let isActive = false;
  try {
    const declared = request.headers['content-length'];
    await data.checkRoom(Number(declared ?? 0));
    const received = await data.receive(id, request, checkWanted);
    if (declared !== undefined && Number(declared) !== received.sizeBytes) throw new InvalidParameterError(`Expected ${declared} bytes of data, received ${received.sizeBytes}.`);
    await store.change(id, async (record) => {
      await data.commit(id);
      const { sizeBytes, checksum, osHashValue, header } = received;
      return { ...record, status: 'active', size: sizeBytes, virtual_size: virtualSizeBytes(record.disk_format, sizeBytes, header), checksum, os_hash_algo: IMAGE_HASH_ALGO, os_hash_value: osHashValue };
    });
    isActive = true;
  } catch (error) {
    if (!store.has(id)) throw gone(id);
    log.warn({ image: id, reason: messageOf(error) }, 'an upload ended early; the image is queued again');
    throw error;
  } finally {
    if (!isActive) {
      await data.remove(id).catch((error: unknown) => log.error({ image: id, reason: messageOf(error) }, 'what an ended upload has left could not be removed; it will be at the next start'));
      request.resume(); // a client that sends its whole body before it reads must be able to get to our answer
    }
    request.setTimeout(0);
    store.endSaving(id);
  }
  response.status(204).end();
}

async function download(store: ImageStore, data: ImageData, log: Logger, request: Request, response: Response): Promise<void> {
  const id = idOf(request);
  const { status, size, checksum } = store.get(id);
  if (status === 'deactivated') throw new ForbiddenError('The requested image has been deactivated. Image data download is forbidden.');
  if (status !== 'active' || size === null) {
    response.status(204).end();
    return;
  }
  const range = parseByteRange(request.headers.range, size);
  const file = await data.open(id).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new NotFoundError(`The data of image ${id} is missing from the store.`, { image: id }) : error;
  });
  const { first, last } = range ?? { first: 0, last: size - 1 };
  response.status(range === undefined ? 200 : 206).set({ 'Content-Type': DATA_TYPE, 'Content-Length': String(last - first + 1), ...(checksum === null ? {} : { 'Content-MD5': checksum }) });
  if (range !== undefined) response.set('Content-Range', `bytes ${first}-${last}/${size}`);
  response.setTimeout(STALL_TIMEOUT_MS, () => response.destroy());
  try {
    // An empty image has no byte to begin at.
    if (size === 0) response.end();
    else await pipeline(file.createReadStream({ start: first, end: last, autoClose: false, highWaterMark: 256 * 1024 }), response);
  } catch (error) {
    log.info({ image: id, reason: messageOf(error) }, 'a download ended early');
    response.destroy();
  } finally {
    await file.close();
  }
}
