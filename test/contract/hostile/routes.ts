import type { Json, JsonObject } from '../../../protocol/json.ts';

/** One method of one path, with what its description says that it takes. */
export interface Route {
  method: string;
  /** With `{parameters}`. */
  template: string;
  query: readonly string[];
  /** JSON Schema of the body; undefined: it takes none. */
  body: JsonObject | undefined;
}

const PATCH_BODY_FROM: Readonly<Record<string, string>> = {
  '/v1/nodes/{ident}': '/v1/nodes',
  '/v1/ports/{ident}': '/v1/ports',
  '/v1/portgroups/{ident}': '/v1/portgroups',
  '/v1/volume/connectors/{ident}': '/v1/volume/connectors',
  '/v1/volume/targets/{ident}': '/v1/volume/targets',
};

/** Every route that the OpenAPI document names: a new one is thrown at without a word here. */
export function routesOf(document: JsonObject): Route[] {
  return Object.entries(document['paths'] as Record<string, JsonObject>).flatMap(([template, operations]) =>
    Object.entries(operations as Record<string, JsonObject>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      template,
      query: (operation['parameters'] as { name: string; in: string }[]).filter((parameter) => parameter.in === 'query').map(({ name }) => name),
      body: bodySchema(operation),
    })),
  );
}

const bodySchema = (operation: JsonObject): JsonObject | undefined => (operation['requestBody'] as { content: Record<string, { schema: JsonObject }> } | undefined)?.content['application/json']?.schema;

/** The fields that a document of this route has: for a PATCH those of the resource when it is created. */
export function fieldsOf(route: Route, routes: readonly Route[]): Readonly<Record<string, Json>> {
  const source = route.method === 'PATCH' ? routes.find(({ method, template }) => method === 'POST' && template === PATCH_BODY_FROM[route.template]) : route;
  return (source?.body?.['properties'] as Record<string, Json> | undefined) ?? {};
}

/** What machines reach on the other listener, which describes itself in `/v1` only. */
export const PROVISIONING_ROUTES: readonly Route[] = [
  { method: 'GET', template: '/', query: [], body: undefined },
  { method: 'GET', template: '/v1', query: [], body: undefined },
  { method: 'GET', template: '/v1/lookup', query: ['addresses', 'node_uuid'], body: undefined },
  { method: 'POST', template: '/v1/heartbeat/{ident}', query: [], body: { properties: { callback_url: {}, agent_token: {}, agent_version: {}, agent_verify_ca: {}, agent_status: {}, agent_status_message: {} } } },
];
