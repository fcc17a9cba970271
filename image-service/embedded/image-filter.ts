import { InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageRecord } from './image-record.ts';
import { isBaseProperty } from './image-schema.ts';

export type Filter = (image: ImageRecord) => boolean;

/** Parameters of a list that filter nothing here. `member_status`: images are not shared with members. */
const NO_FILTERS = ['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'tag', 'member_status'];
/** Attributes that take a list: `name=in:a,"b,c"`. */
const LIST_ATTRIBUTES = ['id', 'name', 'status', 'disk_format', 'container_format'];

/** A filter of every parameter, all of which an image has to pass. @throws InvalidParameterError for a malformed one. */
export function parseFilters(params: URLSearchParams): Filter[] {
  const filters = [...new Set(params.keys())].filter((name) => !NO_FILTERS.includes(name)).map((name) => filterOf(name, params.getAll(name).at(-1) as string));
  for (const tag of params.getAll('tag')) filters.push((image) => image.tags.includes(tag));
  if (!params.has('os_hidden')) filters.push((image) => !image.os_hidden);
  if (!params.has('visibility')) filters.push((image) => image.visibility !== 'community');
  return filters;
}

type Scalar = string | number | boolean | null;

/** The value of a field or added property; undefined when the image has no such property. */
export const attributeOf = (image: ImageRecord, name: string): Scalar | undefined => {
  if (!isBaseProperty(name)) return Object.hasOwn(image.properties, name) ? image.properties[name] : undefined;
  const value = Object.entries(image).find(([field]) => field === name)?.[1] as Scalar | undefined | object;
  return typeof value === 'object' && value !== null ? undefined : value;
};

function filterOf(name: string, value: string): Filter {
  switch (name) {
    case 'visibility':
      return (image) => value === 'all' || image.visibility === value;
    case 'protected':
      return booleanFilter(name, value);
    case 'os_hidden':
      return booleanFilter(name, value.toLowerCase());
    case 'size_min':
      return boundFilter(value, (size, bound) => size >= bound);
    case 'size_max':
      return boundFilter(value, (size, bound) => size <= bound);
    case 'created_at':
    case 'updated_at':
      return timeFilter(name, value);
    default:
      if (LIST_ATTRIBUTES.includes(name) && value.startsWith('in:')) {
        const values = splitList(value.slice('in:'.length));
        return (image) => values.includes(String(attributeOf(image, name)));
      }
      return (image) => {
        const found = attributeOf(image, name);
        return found !== undefined && String(found ?? '') === value;
      };
  }
}

function booleanFilter(name: 'protected' | 'os_hidden', value: string): Filter {
  if (value !== 'true' && value !== 'false') throw new InvalidParameterError(`Invalid value '${value}' for '${name}' filter. Valid values are 'true' or 'false'.`);
  return (image) => image[name] === (value === 'true');
}

function boundFilter(value: string, holds: (size: number, bound: number) => boolean): Filter {
  if (!/^\d+$/.test(value)) throw new InvalidParameterError('Unable to filter on a range with a non-numeric value.');
  return (image) => image.size !== null && holds(image.size, Number(value));
}

const COMPARISONS: Readonly<Record<string, (found: number, bound: number) => boolean>> = {
  gt: (found, bound) => found > bound,
  gte: (found, bound) => found >= bound,
  lt: (found, bound) => found < bound,
  lte: (found, bound) => found <= bound,
  eq: (found, bound) => found === bound,
  neq: (found, bound) => found !== bound,
};

/** `gt:2026-01-01T00:00:00Z`; without an operator: equal. To the second, as times are shown. */
function timeFilter(name: 'created_at' | 'updated_at', value: string): Filter {
  const [, operator = 'eq', time = ''] = /^(?:([a-z]+):)?(.*)$/.exec(value) ?? [];
  const compare = COMPARISONS[operator];
  const bound = Math.floor(Date.parse(time) / 1_000);
  if (compare === undefined || Number.isNaN(bound)) throw new InvalidParameterError(`Bad "${name}" query filter format. Use ISO 8601 DateTime notation, with gt:, gte:, lt:, lte:, eq: or neq: before it.`);
  return (image) => compare(Math.floor(Date.parse(image[name]) / 1_000), bound);
}

/** Commas separate; a value with commas stands in double quotes. */
const splitList = (text: string): string[] => [...text.matchAll(/\s*(?:"([^"]*)"|([^,]*))\s*(?:,|$)/g)].map(([, quoted, plain]) => quoted ?? (plain ?? '').trim()).filter((value) => value !== '');
