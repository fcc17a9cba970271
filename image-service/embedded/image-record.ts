import { randomUUID } from 'node:crypto';
import { ForbiddenError, InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageStatus } from '../../protocol/image.ts';
import { IMAGE_PROPERTIES, isBaseProperty, validateProperty } from './image-schema.ts';
import { limitExceeded } from './refusal.ts';

/** An image as it is stored. Names are the wire's, because patches, filters and sort keys name them so. */
export interface ImageRecord {
  readonly id: string;
  readonly name: string | null;
  readonly status: Extract<ImageStatus, 'queued' | 'saving' | 'active' | 'deactivated'>;
  readonly owner: string | null;
  readonly visibility: string;
  readonly protected: boolean;
  readonly os_hidden: boolean;
  readonly disk_format: string | null;
  readonly container_format: string | null;
  readonly size: number | null;
  readonly virtual_size: number | null;
  readonly min_disk: number;
  readonly min_ram: number;
  readonly checksum: string | null;
  readonly os_hash_algo: string | null;
  readonly os_hash_value: string | null;
  /** ISO 8601 with milliseconds, for the order; the wire has seconds. */
  readonly created_at: string;
  readonly updated_at: string;
  readonly tags: readonly string[];
  /** What people have added. */
  readonly properties: Readonly<Record<string, string | null>>;
}

const MAX_PROPERTIES = 128;
const MAX_TAGS = 128;
/** Names that neither a client may set nor an added property may take. */
const RESERVED = ['deleted', 'deleted_at'];

/**
 * The record of a new image from a request's fields.
 * @throws InvalidParameterError for a value of the wrong kind; ForbiddenError for a read-only field.
 */
export function newRecord(fields: unknown): ImageRecord {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new InvalidParameterError('Expected a JSON object with the fields of the image in the request body.');
  const now = new Date().toISOString();
  const blank: ImageRecord = {
    id: randomUUID(),
    name: null,
    status: 'queued',
    owner: null,
    visibility: 'shared',
    protected: false,
    os_hidden: false,
    disk_format: null,
    container_format: null,
    size: null,
    virtual_size: null,
    min_disk: 0,
    min_ram: 0,
    checksum: null,
    os_hash_algo: null,
    os_hash_value: null,
    created_at: now,
    updated_at: now,
    tags: [],
    properties: {},
  };
  return checkQuotas(Object.entries(fields).reduce((record, [name, value]) => (name === 'id' ? withId(record, value) : withProperty(record, name, value)), blank));
}

const withId = (record: ImageRecord, id: unknown): ImageRecord => {
  validateProperty('id', id);
  return { ...record, id: id as string };
};

/** @throws ForbiddenError when the field is not a client's to write. */
export function checkWritable(name: string): void {
  if (RESERVED.includes(name)) throw new ForbiddenError(`Attribute '${name}' is reserved.`);
  if (name === 'id' || (isBaseProperty(name) && IMAGE_PROPERTIES[name]?.readOnly)) throw new ForbiddenError(`Attribute '${name}' is read-only.`);
  if (name === 'locations') throw new ForbiddenError(`Attribute '${name}' is not supported: send the data with PUT .../file.`);
}

/** The record with one field or added property set. @throws as newRecord. */
export function withProperty(record: ImageRecord, name: string, value: unknown): ImageRecord {
  checkWritable(name);
  validateProperty(name, value);
  if (name === 'tags') return withTags(record, value as string[]);
  if (isBaseProperty(name)) return { ...record, [name]: value };
  // fromEntries makes `__proto__` a name like any other.
  return { ...record, properties: Object.fromEntries([...Object.entries(record.properties).filter(([other]) => other !== name), [name, value as string | null]]) };
}

export const withTags = (record: ImageRecord, tags: readonly string[]): ImageRecord => ({ ...record, tags: [...new Set(tags)] });

export const withoutProperty = (record: ImageRecord, name: string): ImageRecord => ({ ...record, properties: Object.fromEntries(Object.entries(record.properties).filter(([other]) => other !== name)) });

/** @throws MetalshotError (413) when people have added too much. */
export function checkQuotas(record: ImageRecord): ImageRecord {
  const added = Object.keys(record.properties).length;
  if (added > MAX_PROPERTIES) throw limitExceeded('properties', added, MAX_PROPERTIES);
  if (record.tags.length > MAX_TAGS) throw limitExceeded('tags', record.tags.length, MAX_TAGS);
  return record;
}

/** The image as the API shows it. */
export function toWire(record: ImageRecord): Record<string, unknown> {
  const { properties, created_at, updated_at, ...base } = record;
  const path = `/v2/images/${record.id}`;
  const shown = { ...base, created_at: wireTime(created_at), updated_at: wireTime(updated_at), self: path, file: `${path}/file`, schema: '/v2/schemas/image' };
  return Object.fromEntries([...Object.entries(properties), ...Object.entries(shown)]);
}

const wireTime = (time: string): string => time.replace(/\.\d+Z$/, 'Z');
