/** The API's description of itself says what is served, and nothing else. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { OPERATIONS } from '../../../../conductor/api/openapi/operations.ts';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

interface Described {
  openapi: string;
  servers: { url: string }[];
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown>; parameters: { name: string; in: string; schema: Record<string, unknown> }[]; requestBody?: { content: Record<string, { schema: Record<string, unknown> }> } }>>;
  components: { schemas: Record<string, { properties?: Record<string, { type?: unknown }> }> };
}

let api: ApiUnderTest;
let document: Described;
beforeAll(async () => {
  api = await startApi();
  document = (await api.call('GET', '/v1/openapi.json', { version: null })).body as Described;
});
afterAll(() => api.close());

const described = (): string[] => Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));

describe('the description at /v1/openapi.json', () => {
  test('is valid OpenAPI 3.1, and is served without a version header', async () => {
    const result = await new Validator().validate(structuredClone(document) as never);
    expect([result.errors, result.valid, document.openapi]).toEqual([undefined, true, '3.1.0']);
    expect(document.servers).toEqual([{ url: api.url }]);
  });

  test('describes every method of every path that the routers have, and no other', () => {
    expect(described().sort()).toEqual(Object.keys(OPERATIONS).sort());
  });

  test('names methods that are served: none of them is 405, and all others are, with the described ones allowed', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const address = path.replace(/\{\w+\}/g, 'none');
      const { status, headers } = await api.call('PURGE', address);
      const allowed = (headers['allow'] ?? '').split(', ').filter((method) => method !== 'HEAD').map((method) => method.toLowerCase());
      expect([path, status, allowed.sort()]).toEqual([path, 405, Object.keys(methods).sort()]);
    }
  });

  test('gives each operation a name of its own', () => {
    const names = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(names).size).toBe(names.length);
  });

  test('knows the filters of lists, the members of requests and the fields of replies from what checks and shows them', () => {
    const parameters = document.paths['/v1/nodes']?.['get']?.parameters.map(({ name }) => name);
    expect(parameters).toEqual(expect.arrayContaining(['limit', 'marker', 'sort_key', 'fields', 'detail', 'provision_state', 'fault', 'X-OpenStack-Ironic-API-Version']));
    const body = document.paths['/v1/nodes']?.['post']?.requestBody?.content['application/json']?.schema as { properties: Record<string, unknown>; required: string[]; additionalProperties: boolean };
    expect([body.required, body.additionalProperties, Object.keys(body.properties)]).toEqual([['driver'], false, expect.arrayContaining(['name', 'driver_info', 'power_interface'])]);
    expect(document.components.schemas['Node']?.properties?.['instance_uuid']).toEqual({ type: ['string', 'null'], format: 'uuid', description: 'Since 1.1.' });
    expect(document.components.schemas['Portgroup']?.properties?.['mode']).toEqual({ type: 'string', description: 'Since 1.23.' });
  });
});
