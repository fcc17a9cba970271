import type { JsonObject } from '../../protocol/json.ts';

/** JSON Schema (2020-12) of a field's value: what the API's own description says of it. */
export type ValueSchema = Readonly<JsonObject>;

export const nullable = (schema: ValueSchema): ValueSchema => ({ ...schema, type: [...[schema['type'] ?? 'object'].flat(), 'null'] });
export const arrayOf = (items: ValueSchema): ValueSchema => ({ type: 'array', items });

export const text: ValueSchema = { type: 'string' };
export const uuid: ValueSchema = { type: 'string', format: 'uuid' };
export const flag: ValueSchema = { type: 'boolean' };
export const integer: ValueSchema = { type: 'integer' };
export const object: ValueSchema = { type: 'object', additionalProperties: true };
export const time: ValueSchema = { type: 'string', description: 'ISO 8601 with its offset' };
export const nothing: ValueSchema = { type: 'null' };
export const links: ValueSchema = arrayOf({ type: 'object', properties: { href: text, rel: { enum: ['self', 'bookmark'] } }, required: ['href', 'rel'], additionalProperties: false });
