import { z } from 'zod';
import type { Json, JsonObject } from '../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../protocol/microversion.ts';
import type { NodePatch } from '../db/node-store.ts';
import { INTERFACE_KINDS, type InterfaceKind, type NodeRow } from '../db/rows.ts';
import type { VersionedField } from './field-selection.ts';
import { NODE_FIELDS } from './node-fields.ts';
import { booleanLike, check, jsonObject, logicalName, uuidLike } from './request-documents.ts';

/** A field of a node that clients may write: its type, and its way from and to the row. */
export interface WritableField extends Pick<VersionedField, 'name' | 'since'> {
  readonly schema: z.ZodType;
  read(node: NodeRow): Json;
  /** Undefined for fields that are written by other means (interfaces, UUID). */
  write?(value: Json): NodePatch;
  /** May be written when a node is created, or afterwards. */
  readonly when: readonly ('create' | 'patch')[];
}

type Column = keyof NodePatch & keyof NodeRow;

const sinceOf = (name: string): number => NODE_FIELDS.find((field) => field.name === name)?.since ?? 1;
const text = (maxLength = 4096): z.ZodType => z.string().max(maxLength).nullish();
const always = ['create', 'patch'] as const;

function field(name: string, column: Column, schema: z.ZodType, empty: Json, when: WritableField['when'] = always): WritableField {
  return { name, since: sinceOf(name), schema, when, read: (node) => node[column] as Json, write: (value) => ({ [column]: value ?? empty }) };
}
/** A field of Ironic that exists with one value only. */
const fixed = (name: string, only: Json): WritableField => ({
  name,
  since: sinceOf(name),
  schema: z.json().optional().refine((value) => value === undefined || value === null || value === only, `this service knows only ${JSON.stringify(only)}`),
  when: always,
  read: () => only,
});
const implementation = (kind: InterfaceKind): WritableField => ({
  name: `${kind}_interface`,
  since: kind === 'snapshot' ? SNAPSHOT_MICROVERSION : sinceOf(`${kind}_interface`),
  schema: z.string().max(255).nullish(),
  when: always,
  read: (node) => node.interfaces[kind],
});

const RESERVED_NAMES = ['detail', 'validate', 'states', 'vendor_passthru', 'management', 'maintenance', 'ports', 'portgroups', 'vifs', 'volume', 'traits', 'bios', 'allocation', 'history', 'inventory', 'children', 'firmware', 'vmedia'];

const flag = booleanLike.nullish();
const object = jsonObject.nullish();

/** Every writable field of a node; the rest is read-only. */
export const WRITABLE_FIELDS: readonly WritableField[] = [
  { name: 'uuid', since: 1, schema: uuidLike.nullish(), when: ['create'], read: (node) => node.uuid },
  field('driver', 'driver', z.string().min(1).max(255), null),
  field('name', 'name', logicalName(RESERVED_NAMES).nullish(), null),
  field('driver_info', 'driverInfo', object, {}),
  field('properties', 'properties', object, {}),
  field('instance_info', 'instanceInfo', object, {}),
  field('extra', 'extra', object, {}),
  field('network_data', 'networkData', object, {}),
  field('instance_uuid', 'instanceUuid', uuidLike.nullish(), null),
  field('automated_clean', 'automatedClean', flag, null),
  field('conductor_group', 'conductorGroup', z.string().max(255).nullish(), ''),
  field('description', 'description', text(), null),
  field('lessee', 'lessee', text(255), null),
  field('owner', 'owner', text(255), null),
  field('resource_class', 'resourceClass', text(80), null),
  field('maintenance', 'maintenance', flag, false),
  field('retired', 'retired', flag, false),
  field('retired_reason', 'retiredReason', text(), null),
  field('protected', 'protected', flag, false, ['patch']),
  field('protected_reason', 'protectedReason', text(), null, ['patch']),
  ...INTERFACE_KINDS.map(implementation),
  fixed('firmware_interface', 'no-firmware'),
  fixed('chassis_uuid', null),
  fixed('console_enabled', false),
  fixed('disable_power_off', false),
  fixed('instance_name', null),
  fixed('parent_node', null),
  fixed('shard', null),
];

const schemaFor = (when: 'create' | 'patch'): z.ZodType<JsonObject> =>
  z.strictObject(Object.fromEntries(WRITABLE_FIELDS.filter((one) => one.when.includes(when)).map(({ name, schema }) => [name, schema]))) as unknown as z.ZodType<JsonObject>;
export const CREATE_SCHEMA = schemaFor('create');
const PATCH_SCHEMA = schemaFor('patch');

/** @throws InvalidParameterError for unknown fields and wrong types. */
export const checkNewDocument = (document: unknown): JsonObject => check(CREATE_SCHEMA, document, 'node');
export const checkPatchedDocument = (document: unknown): JsonObject => check(PATCH_SCHEMA, document, 'node');

/** What a PATCH is applied to: the fields that it may write, with their secrets. */
export const documentOf = (node: NodeRow): JsonObject => Object.fromEntries(WRITABLE_FIELDS.filter(({ when }) => when.includes('patch')).map((one) => [one.name, one.read(node)]));

export const PATCHABLE: ReadonlyMap<string, WritableField> = new Map(WRITABLE_FIELDS.filter(({ when }) => when.includes('patch')).map((one) => [one.name, one]));

/** The interfaces that a document names. */
export function interfacesIn(document: JsonObject): Partial<Record<InterfaceKind, string>> {
  const named: Partial<Record<InterfaceKind, string>> = {};
  for (const kind of INTERFACE_KINDS) {
    const value = document[`${kind}_interface`];
    if (typeof value === 'string') named[kind] = value;
  }
  return named;
}
