import type { Router } from 'express';
import type { JsonObject } from '../../../protocol/json.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { linksTo } from '../links.ts';
import { findNode } from '../node-representation.ts';
import { parameter, resource } from '../resource.ts';
import { VOLUME_CONNECTORS, VOLUME_MICROVERSION, VOLUME_TARGETS } from '../volume-resources.ts';
import { recordRoutes } from './record-routes.ts';

/** `/v1/volume` and `/v1/nodes/{ident}/volume` with connectors and targets. */
export function volumeRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/volume', { GET: (_request, response, { baseUrl }) => void response.json(volumeLinks(baseUrl, 'volume')) }, VOLUME_MICROVERSION);
  resource(
    router,
    '/nodes/:ident/volume',
    {
      GET: async (request, response, context) => {
        const node = await findNode(deps, parameter(request, 'ident'), context);
        response.json(volumeLinks(context.baseUrl, `nodes/${node.uuid}/volume`));
      },
    },
    VOLUME_MICROVERSION,
  );
  recordRoutes(router, deps, VOLUME_CONNECTORS);
  recordRoutes(router, deps, VOLUME_TARGETS);
}

const volumeLinks = (baseUrl: string, path: string): JsonObject =>
  Object.fromEntries(Object.entries({ links: '', connectors: 'connectors', targets: 'targets' }).map(([name, part]) => [name, linksTo(baseUrl, `${path}/${part}`).map((link) => ({ ...link }))]));
