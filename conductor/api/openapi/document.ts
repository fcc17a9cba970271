import { z } from 'zod';
import type { Json, JsonObject } from '../../../protocol/json.ts';
import { formatMicroversion, MAX_MICROVERSION, MIN_MICROVERSION, VERSION_HEADER } from '../../../protocol/microversion.ts';
import { UUID_PATTERN } from '../../../protocol/provision.ts';
import { MAC_PATTERN } from '../request-documents.ts';
import type { RegisteredResource } from '../resource.ts';
import { OPERATIONS, type OperationDescription } from './operations.ts';
import { ref, SCHEMAS } from './schemas.ts';

const ANY_CASE: Readonly<Record<string, string>> = { [UUID_PATTERN.source]: caseless(UUID_PATTERN), [MAC_PATTERN.source]: caseless(MAC_PATTERN) };

/** `/nodes/:ident` of a router as OpenAPI writes it. */
export const templateOf = (mount: string, path: string): string => `${mount}${path}`.replace(/:(\w+)/g, '{$1}');

/**
 * The OpenAPI 3.1 description of these resources: their paths, methods and versions as the router has them, their schemas from what
 * checks the requests and from the tables of fields.
 * @param mounted the resources of each router, by the path that it is mounted at.
 * @throws Error for a resource that nobody has described.
 */
export function describeApi(mounted: Readonly<Record<string, readonly RegisteredResource[]>>, serverUrl: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const [mount, resources] of Object.entries(mounted)) {
    for (const { path, methods, since } of resources) {
      const template = templateOf(mount, path);
      paths[template] = Object.fromEntries(methods.map((method) => [method.toLowerCase(), operationOf(`${method} ${template}`, template, since)]));
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Metalshot', version: formatMicroversion(MAX_MICROVERSION), description: `The bare metal API of Ironic with the provision verb "snapshot". Versions ${formatMicroversion(MIN_MICROVERSION)} to ${formatMicroversion(MAX_MICROVERSION)}, asked for in ${VERSION_HEADER}; without it ${formatMicroversion(MIN_MICROVERSION)}.` },
    servers: [{ url: serverUrl }],
    paths,
    components: { schemas: { ...SCHEMAS } },
  };
}

function operationOf(key: string, template: string, since: number): JsonObject {
  const described = OPERATIONS[key];
  if (!described) throw new Error(`${key} is served, but not described in OPERATIONS`);
  return {
    summary: described.summary,
    operationId: key.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, ''),
    description: `Since ${formatMicroversion(since)}.`,
    parameters: [...pathParameters(template), ...queryParameters(described.query), versionParameter(since)],
    ...(described.body ? { requestBody: { required: true, content: { 'application/json': { schema: inputSchema(described.body) } } } } : {}),
    responses: { ...responses(described), default: content('Refused, or failed', ref('Error')) },
  };
}

function responses({ status, reply, also = {} }: OperationDescription): JsonObject {
  const further = Object.entries(also).map(([code, schema]) => [code, content('Done', schema)] as const);
  return { ...Object.fromEntries(further), [status]: reply ? content(status === 400 ? 'Refused' : 'Done', reply) : { description: status === 202 ? 'Accepted; the work goes on' : 'Done' } };
}

const content = (description: string, schema: JsonObject): JsonObject => ({ description, content: { 'application/json': { schema } } });
const pathParameters = (template: string): JsonObject[] => [...template.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
const versionParameter = (since: number): JsonObject => ({ name: VERSION_HEADER, in: 'header', required: since > MIN_MICROVERSION, schema: { type: 'string', pattern: '^(1\\.[0-9]+|latest)$' } });

function queryParameters(shape: z.ZodRawShape = {}): JsonObject[] {
  const { properties, required = [] } = inputSchema(z.object(shape)) as { properties: Record<string, JsonObject>; required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema }));
}

/** What a client may send, by what checks it. */
function inputSchema(schema: z.ZodType): JsonObject {
  const { $schema: _, ...described } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ jsonSchema }) => {
      const pattern = jsonSchema.pattern;
      if (pattern !== undefined) jsonSchema.pattern = ANY_CASE[pattern] ?? pattern;
    },
  });
  return inlined(described as Json, (described as { $defs?: JsonObject }).$defs ?? {}) as JsonObject;
}

/** Definitions of a schema on its own have no place inside another document: a JSON value of any kind is all that recurs in them. */
function inlined(value: Json, definitions: JsonObject): Json {
  if (Array.isArray(value)) return value.map((item) => inlined(item, definitions));
  if (typeof value !== 'object' || value === null) return value;
  if (typeof value['$ref'] === 'string') return {};
  return Object.fromEntries(Object.entries(value).flatMap(([name, member]) => (name === '$defs' ? [] : [[name, inlined(member, definitions)]])));
}

/** JSON Schema has no flag for it. */
function caseless(pattern: RegExp): string {
  return pattern.source.replaceAll('a-f', 'A-Fa-f');
}
