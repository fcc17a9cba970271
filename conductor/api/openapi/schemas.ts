import type { Json, JsonObject } from '../../../protocol/json.ts';
import { formatMicroversion } from '../../../protocol/microversion.ts';
import type { VersionedField } from '../field-selection.ts';
import { NODE_FIELDS, NODE_STATES_FIELDS } from '../node-fields.ts';
import { SUBRESOURCES } from '../node-representation.ts';
import { PORT_FIELDS } from '../port-fields.ts';
import { PORTGROUPS } from '../portgroup-resource.ts';
import { CONDUCTOR_FIELDS } from '../routes/conductors.ts';
import { DRIVER_INTERFACES, DRIVER_SUMMARY } from '../routes/drivers.ts';
import { arrayOf, flag, links, nullable, text, time, uuid, type ValueSchema } from '../value-schemas.ts';
import { VOLUME_CONNECTORS, VOLUME_TARGETS } from '../volume-resources.ts';

export const ref = (name: string): ValueSchema => ({ $ref: `#/components/schemas/${name}` });
/** A page of a list; `next` is where the next one is, when there is one. */
export const listOf = (member: string, name: string): ValueSchema => ({ type: 'object', properties: { [member]: arrayOf(ref(name)), next: text }, required: [member], additionalProperties: false });

/** A resource by its fields: which of them a reply has depends on the version and on what was asked for, so none is required. */
function resourceSchema(fields: readonly VersionedField[], further: Readonly<Record<string, ValueSchema>> = {}): ValueSchema {
  const properties: Record<string, Json> = { ...further };
  for (const { name, since, shownSince, schema } of fields) {
    const told = schema['description'];
    properties[name] = { ...schema, description: `${typeof told === 'string' ? `${told}. ` : ''}Since ${formatMicroversion(shownSince ?? since)}.` };
  }
  return { type: 'object', properties, additionalProperties: false };
}

const linked = { links };
const check = { type: 'object', properties: { result: flag, reason: text }, required: ['result'], additionalProperties: false };
const planResult = { enum: ['pass', 'warn', 'fail'] };
const nullableText = nullable(text);
const nullableNumber = { type: ['number', 'null'] };

/** The schemas that operations refer to. */
export const SCHEMAS: Readonly<JsonObject> = {
  Error: { type: 'object', properties: { error_message: { type: 'string', description: 'JSON in a string: faultcode, faultstring and debuginfo where a resource refused; code, title and description where the request did not get that far' } }, required: ['error_message'], additionalProperties: false },
  Node: resourceSchema(NODE_FIELDS, { ...linked, ...Object.fromEntries(Object.keys(SUBRESOURCES).map((part) => [part, links])) }),
  NodeStates: resourceSchema(NODE_FIELDS.filter(({ name }) => NODE_STATES_FIELDS.includes(name))),
  Port: resourceSchema(PORT_FIELDS, linked),
  Portgroup: resourceSchema(PORTGROUPS.fields, { ...linked, ports: links }),
  VolumeConnector: resourceSchema(VOLUME_CONNECTORS.fields, linked),
  VolumeTarget: resourceSchema(VOLUME_TARGETS.fields, linked),
  VolumeLinks: { type: 'object', properties: { links, connectors: links, targets: links }, required: ['links', 'connectors', 'targets'], additionalProperties: false },
  Driver: resourceSchema([...DRIVER_SUMMARY, ...DRIVER_INTERFACES]),
  Conductor: resourceSchema(CONDUCTOR_FIELDS, linked),
  HistoryEvent: {
    type: 'object',
    properties: { uuid, created_at: time, severity: { enum: ['INFO', 'ERROR'] }, event: text, event_type: text, conductor: text, user: nullableText, links },
    required: ['uuid', 'created_at', 'severity', 'event', 'links'],
    additionalProperties: false,
  },
  Checks: { type: 'object', additionalProperties: check, description: 'By name: whether it would work, and why not' },
  Plan: {
    type: 'object',
    properties: {
      verb: { enum: ['deploy', 'rebuild'] },
      node_uuid: uuid,
      image: { type: 'object', properties: { source: text, name: nullableText, disk_format: text, size_bytes: nullableNumber, virtual_size_bytes: nullableNumber }, additionalProperties: false },
      target_disk: { type: ['object', 'null'], properties: { name: nullableText, serial: nullableText, wwn: nullableText, size_bytes: nullableNumber }, additionalProperties: false },
      generalize: flag,
      result: planResult,
      checks: arrayOf({ type: 'object', properties: { name: text, result: planResult, expected: nullableText, found: nullableText, message: text }, required: ['name', 'result', 'message'], additionalProperties: false }),
    },
    required: ['verb', 'node_uuid', 'image', 'target_disk', 'generalize', 'result', 'checks'],
    additionalProperties: false,
  },
};
