import { InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageRecord } from './image-record.ts';
import { VISIBILITIES } from './image-schema.ts';
import { attributeOf, parseFilters, type Filter } from './image-filter.ts';

const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 1000;
export const SORT_KEYS = ['name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at'];

interface SortTerm {
  key: string;
  descending: boolean;
}

export interface ListQuery {
  limit: number;
  marker: string | undefined;
  sort: SortTerm[];
  filters: Filter[];
}

/** What a list's query asks for, as Glance reads it. @throws InvalidParameterError naming what cannot be understood. */
export function parseListQuery(params: URLSearchParams): ListQuery {
  const visibility = params.get('visibility');
  if (visibility !== null && visibility !== 'all' && !VISIBILITIES.includes(visibility)) throw new InvalidParameterError(`Invalid visibility value: ${visibility}`);
  return { limit: parseLimit(params.get('limit')), marker: params.get('marker') ?? undefined, sort: parseSort(params), filters: parseFilters(params) };
}

function parseLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  if (!/^-?\d+$/.test(text)) throw new InvalidParameterError('limit param must be an integer');
  if (text.startsWith('-')) throw new InvalidParameterError('limit param must be positive');
  return Math.min(Number(text), MAX_LIMIT);
}

/** New syntax `sort=name:asc,id`, or old `sort_key`/`sort_dir`, repeated; newest first where they say nothing. */
function parseSort(params: URLSearchParams): SortTerm[] {
  const keys = params.getAll('sort_key');
  const directions = params.getAll('sort_dir');
  const combined = params.get('sort');
  if (combined !== null && (keys.length > 0 || directions.length > 0)) throw new InvalidParameterError('Old and new sorting syntax cannot be combined');
  if (directions.length > 1 && directions.length !== Math.max(keys.length, 1)) throw new InvalidParameterError('Number of sort dirs does not match the number of sort keys');
  const asked = combined !== null ? combined.split(',').map((term) => term.trim().split(':')) : keys.map((key, index) => [key, directions[index] ?? directions[0]]);
  const terms = asked.map(([key = '', direction = 'desc']) => sortTerm(key, direction));
  const lastDirection = combined === null ? directions[0] ?? 'desc' : 'desc';
  for (const key of ['created_at', 'id']) if (!terms.some((term) => term.key === key)) terms.push(sortTerm(key, lastDirection));
  return terms;
}

function sortTerm(key: string, direction: string): SortTerm {
  if (!SORT_KEYS.includes(key)) throw new InvalidParameterError(`Invalid sort key: ${key}. It must be one of the following: ${SORT_KEYS.join(', ')}.`);
  if (direction !== 'asc' && direction !== 'desc') throw new InvalidParameterError(`Invalid sort direction: ${direction}`);
  return { key, descending: direction === 'desc' };
}

/** One page and, when it is full, the marker of the next. @throws InvalidParameterError for an unknown marker. */
export function selectPage(images: readonly ImageRecord[], query: ListQuery): { page: ImageRecord[]; next: string | undefined } {
  const marker = query.marker === undefined ? undefined : images.find((image) => image.id === query.marker);
  if (query.marker !== undefined && marker === undefined) throw new InvalidParameterError(`No image found with ID ${query.marker}`);
  const order = compareBy(query.sort);
  const matching = images.filter((image) => query.filters.every((matches) => matches(image))).sort(order);
  const page = matching.filter((image) => marker === undefined || order(image, marker) > 0).slice(0, query.limit);
  return { page, next: page.length > 0 && page.length === query.limit ? page[page.length - 1]?.id : undefined };
}

const compareBy =
  (terms: readonly SortTerm[]) =>
  (left: ImageRecord, right: ImageRecord): number => {
    for (const { key, descending } of terms) {
      const order = compareValues(attributeOf(left, key), attributeOf(right, key));
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  };

/** Null before everything, text by code unit, as the databases under Glance do. */
function compareValues(left: ReturnType<typeof attributeOf>, right: ReturnType<typeof attributeOf>): number {
  if (left === right) return 0;
  if (left === null || left === undefined) return -1;
  if (right === null || right === undefined) return 1;
  return left < right ? -1 : 1;
}
