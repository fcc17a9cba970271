import type { Request } from 'express';
import { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { uuidLike } from './request-documents.ts';

export const MAX_LIMIT = 1000;

/** Parameters that every list takes. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^[1-9]\d{0,9}$/, 'Limit must be positive')
    .transform((text) => Math.min(Number(text), MAX_LIMIT))
    .optional(),
  marker: uuidLike.optional(),
  sort_key: z.string().default('id'),
  sort_dir: z.enum(['asc', 'desc'], { error: "Invalid sort direction: acceptable values are 'asc' or 'desc'" }).default('asc'),
};

export interface PageRequest<Key> {
  /** One more than is shown: whether it comes tells whether there is a next page. */
  limit: number;
  marker?: string;
  sortKey: Key;
  sortDir: 'asc' | 'desc';
}

/** @param sortKeys column by the name that clients use. @throws InvalidParameterError for any other sort key. */
export function pageOf<Key extends string>(query: { limit?: number; marker?: string; sort_key: string; sort_dir: 'asc' | 'desc' }, sortKeys: Readonly<Record<string, Key>>): PageRequest<Key> {
  const sortKey = Object.hasOwn(sortKeys, query.sort_key) ? sortKeys[query.sort_key] : undefined;
  if (sortKey === undefined) throw new InvalidParameterError(`The sort_key value ${query.sort_key} is an invalid field for sorting; possible are ${Object.keys(sortKeys).join(', ')}`);
  return { limit: (query.limit ?? MAX_LIMIT) + 1, ...(query.marker === undefined ? {} : { marker: query.marker }), sortKey, sortDir: query.sort_dir };
}

/** The rows of this page, and the link to the next one when there is more: with every parameter of this request. */
export function cutPage<Row extends { uuid: string }>(rows: readonly Row[], page: { limit: number }, request: Request, baseUrl: string): { rows: Row[]; next?: string } {
  return cutRows(rows, page, ({ uuid }) => uuid, request, baseUrl);
}

/** As cutPage, for rows whose marker is not a UUID. */
export function cutRows<Row>(rows: readonly Row[], page: { limit: number }, markerOf: (row: Row) => string, request: Request, baseUrl: string): { rows: Row[]; next?: string } {
  const shown = rows.slice(0, page.limit - 1);
  const last = shown.at(-1);
  if (rows.length < page.limit || last === undefined) return { rows: shown };
  const parameters = new URLSearchParams(request.query as Record<string, string>);
  parameters.set('limit', String(page.limit - 1));
  parameters.set('marker', markerOf(last));
  const path = `${request.baseUrl}${request.path}`.replace(/\/$/, '');
  return { rows: shown, next: `${baseUrl}${path}?${parameters.toString()}` };
}
