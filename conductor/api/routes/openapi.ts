import type { Router } from 'express';
import type { JsonObject } from '../../../protocol/json.ts';
import { describeApi } from '../openapi/document.ts';
import { resource, resourcesOf } from '../resource.ts';

/** `/v1/openapi.json`: what this API offers, for programs. To be added last: it describes what the routers have. */
export function descriptionRoutes(root: Router, v1: Router): void {
  let described: { baseUrl: string; document: JsonObject } | undefined;
  resource(v1, '/openapi.json', {
    GET: (_request, response, { baseUrl }) => {
      if (described?.baseUrl !== baseUrl) described = { baseUrl, document: describeApi({ '': resourcesOf(root), '/v1': resourcesOf(v1) }, baseUrl) };
      response.json(described.document);
    },
  });
}
