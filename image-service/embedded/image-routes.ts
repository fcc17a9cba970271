import type { Request, Response } from 'express';
import { ForbiddenError, InvalidParameterError, MetalshotError, NotFoundError } from '../../protocol/errors.ts';
import type { ImageData } from './image-data.ts';
import { PATCH_TYPES, applyPatch, parsePatch } from './image-patch.ts';
import { parseListQuery, selectPage } from './image-query.ts';
import { checkQuotas, newRecord, toWire, withTags, type ImageRecord } from './image-record.ts';
import { validateProperty } from './image-schema.ts';
import type { ImageStore } from './image-store.ts';
import { unsupportedMedia } from './refusal.ts';
import type { RouteTable } from './routing.ts';

/** Everything about images but their data. */
export const imageRoutes = (store: ImageStore, data: ImageData): RouteTable => ({
  '/v2/images': {
    GET: (request, response) => listImages(store, request, response),
    POST: async (request, response) => {
      const record = await store.create(newRecord(bodyOf(request)));
      response.status(201).location(`${request.protocol}://${request.get('host') ?? ''}/v2/images/${record.id}`).json(toWire(record));
    },
  },
  '/v2/images/:id': {
    GET: (request, response) => void response.json(toWire(store.get(idOf(request)))),
    PATCH: async (request, response) => {
      const mediaType = mediaTypeOf(request);
      if (mediaType === undefined || !PATCH_TYPES.includes(mediaType)) throw new MetalshotError('UnsupportedMediaType', 415, unsupportedMedia(mediaType, PATCH_TYPES).message, { acceptPatch: PATCH_TYPES });
      const operations = parsePatch(bodyOf(request), mediaType);
      response.json(toWire(await store.change(idOf(request), (record) => applyPatch(record, operations))));
    },
    DELETE: async (request, response) => {
      const id = idOf(request);
      if (!store.has(id)) throw new NotFoundError(`Failed to find image ${id} to delete`);
      await store.remove(id, () => data.remove(id));
      response.status(204).end();
    },
  },
  '/v2/images/:id/tags/:tag': {
    PUT: async (request, response) => {
      const tag = request.params.tag as string;
      validateProperty('tags', [tag]);
      await store.change(idOf(request), (record) => checkQuotas(withTags(record, [...record.tags, tag])));
      response.status(204).end();
    },
    DELETE: async (request, response) => {
      const tag = request.params.tag as string;
      await store.change(idOf(request), (record) => {
        if (!record.tags.includes(tag)) throw new NotFoundError();
        return withTags(record, record.tags.filter((other) => other !== tag));
      });
      response.status(204).end();
    },
  },
  '/v2/images/:id/actions/deactivate': { POST: (request, response) => changeStatus(store, request, response, 'deactivated', 'deactivate') },
  '/v2/images/:id/actions/reactivate': { POST: (request, response) => changeStatus(store, request, response, 'active', 'reactivate') },
});

export const idOf = (request: Request): string => request.params.id as string;

export const mediaTypeOf = (request: Request): string | undefined => request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();

function bodyOf(request: Request): unknown {
  const body: unknown = request.body;
  if (typeof body !== 'string' || body === '') throw new InvalidParameterError('Body expected in request.');
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new InvalidParameterError('Malformed JSON in request body.', {}, error);
  }
}

function listImages(store: ImageStore, request: Request, response: Response): void {
  const params = new URLSearchParams(request.originalUrl.split('?').slice(1).join('?'));
  const { page, next } = selectPage(store.all(), parseListQuery(params));
  params.delete('marker');
  const link = (query: URLSearchParams): string => (query.size > 0 ? `/v2/images?${query.toString()}` : '/v2/images');
  const first = link(params);
  if (next !== undefined) params.set('marker', next);
  response.json({ images: page.map(toWire), first, schema: '/v2/schemas/images', ...(next === undefined ? {} : { next: link(params) }) });
}

async function changeStatus(store: ImageStore, request: Request, response: Response, to: 'active' | 'deactivated', action: string): Promise<void> {
  await store.change(idOf(request), (record): ImageRecord => {
    if (record.status !== 'active' && record.status !== 'deactivated') throw new ForbiddenError(`Not allowed to ${action} image in status '${record.status}'`);
    return { ...record, status: to };
  });
  response.status(204).end();
}
