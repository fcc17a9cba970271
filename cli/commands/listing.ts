import type { JsonObject } from '../../protocol/json.ts';
import { withQuery } from '../api-client.ts';
import type { Arguments } from '../arguments.ts';
import { fieldsOf, labelOf } from '../columns.ts';
import type { CommandContext, OptionSpec } from '../command.ts';
import { UsageError } from '../exit-code.ts';

/** Options of every list. */
export const LISTING_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  long: { kind: 'flag', describe: 'All details of each' },
  fields: { kind: 'words', describe: 'Only these fields: words or commas; not with --long' },
};

/** Options of lists that come in pages. */
export const PAGING_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  limit: { kind: 'text', describe: 'At most so many (default, or 0: all, page after page)' },
  marker: { kind: 'text', describe: 'Begin after this one' },
  sort: { kind: 'text', describe: 'KEY[:asc|desc][,KEY…]; with --limit or --marker one key, sorted by the service' },
};

export interface Listing {
  path: string;
  /** Member of the reply that holds the items. */
  collection: string;
  defaultFields: readonly string[];
  filters?: Readonly<Record<string, string | undefined>>;
  /** The service has a `…/detail` collection; others take `?detail=True`. */
  detailPath?: string;
  labels?: Readonly<Record<string, string>>;
  /** Made of each item before it is shown. */
  present?: (item: JsonObject) => JsonObject;
}

/** Fetches a collection as the options ask and prints it. */
export async function printListing({ api, output }: CommandContext, args: Arguments, listing: Listing): Promise<void> {
  const asked = args.fields('fields');
  const long = args.flag('long') === true;
  const limit = args.integer('limit') || undefined;
  const marker = args.text('marker');
  const sortKeys = parseSort(args.text('sort'));
  const sortsHere = limit === undefined && marker === undefined;
  if (!sortsHere && sortKeys.length > 1) throw new UsageError('--sort takes one key together with --limit or --marker: the service sorts then');
  const query = {
    limit,
    marker,
    ...(sortsHere ? {} : { sort_key: sortKeys[0]?.field, sort_dir: sortKeys[0]?.direction }),
    fields: asked.length > 0 ? asked.join(',') : undefined,
    ...listing.filters,
  };
  const usesDetailPath = long && listing.detailPath !== undefined;
  const path = usesDetailPath ? withQuery(listing.detailPath ?? '', query) : collectionPath(listing.path, { ...query, detail: long ? 'True' : undefined });
  const items = (await api.list(path, listing.collection, limit)).map((item) => listing.present?.(item) ?? item);
  const fields = asked.length > 0 ? asked : long ? fieldsOf(items) : listing.defaultFields;
  if (sortsHere) sortItems(items, sortKeys, fields, listing.labels ?? {});
  output.rows(items, fields, listing.labels);
}

/** With a query the stock client puts a slash behind the collection; we send the same. */
function collectionPath(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  return Object.values(query).some((value) => value !== undefined) ? withQuery(`${path}/`, query) : path;
}

interface SortKey {
  field: string;
  direction: 'asc' | 'desc';
}

function parseSort(sort: string | undefined): SortKey[] {
  if (sort === undefined) return [];
  return sort.split(',').map((part) => {
    const [field = '', direction = 'asc'] = part.split(':');
    if (field === '' || (direction !== 'asc' && direction !== 'desc')) throw new UsageError(`--sort expects KEY[:asc|desc][,KEY…], got "${sort}"`);
    return { field, direction };
  });
}

function sortItems(items: JsonObject[], keys: readonly SortKey[], fields: readonly string[], labels: Readonly<Record<string, string>>): void {
  if (items.length === 0) return;
  const resolved = keys.map(({ field, direction }) => {
    const found = fields.find((candidate) => candidate === field || (labels[candidate] ?? labelOf(candidate)) === field);
    if (found === undefined) throw new UsageError(`--sort: "${field}" is not among the fields shown (${fields.join(', ')}); add it with --fields`);
    return { field: found, sign: direction === 'asc' ? 1 : -1 };
  });
  items.sort((a, b) => {
    for (const { field, sign } of resolved) {
      const order = compare(a[field], b[field]);
      if (order !== 0) return order * sign;
    }
    return 0;
  });
}

/** Numbers by size, all else by its text; what is missing comes first. */
function compare(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [a, b].map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  return (left ?? '') < (right ?? '') ? -1 : (left ?? '') > (right ?? '') ? 1 : 0;
}
