import type { Router } from 'express';
import type { JsonObject } from '../../../protocol/json.ts';
import { formatMicroversion, MAX_MICROVERSION, MIN_MICROVERSION } from '../../../protocol/microversion.ts';
import { linksTo } from '../links.ts';
import { resource } from '../resource.ts';

/** Resources that `/v1` names, and since when. */
export type ResourceVersions = Readonly<Record<string, number>>;
export const ADMIN_RESOURCES: ResourceVersions = { nodes: 1, ports: 1, drivers: 1, portgroups: 23, volume: 32, lookup: 22, heartbeat: 22, conductors: 49 };
export const PROVISIONING_RESOURCES: ResourceVersions = { lookup: 22, heartbeat: 22 };

/** `/` and `/v1`: where clients learn the versions. */
export function discoveryRoutes(router: Router, resources: ResourceVersions): void {
  resource(router, '/', {
    GET: (_request, response, { baseUrl }) => {
      const version = versionDocument(baseUrl);
      response.json({ name: 'OpenStack Ironic API', description: 'Metalshot: snapshots of physical servers over an Ironic-compatible API.', default_version: version, versions: [version] });
    },
  });
  resource(router, '/v1', {
    GET: (_request, response, { baseUrl, minor }) => {
      const known = Object.entries(resources).filter(([, since]) => since <= minor);
      response.json({
        id: 'v1',
        links: [{ href: `${baseUrl}/v1/`, rel: 'self' }],
        media_types: { base: 'application/json', type: 'application/vnd.openstack.ironic.v1+json' },
        version: versionDocument(baseUrl),
        ...Object.fromEntries(known.map(([name]) => [name, linksTo(baseUrl, `${name}/`)])),
      });
    },
  });
}

const versionDocument = (baseUrl: string): JsonObject => ({
  id: 'v1',
  links: [{ href: `${baseUrl}/v1/`, rel: 'self' }],
  status: 'CURRENT',
  min_version: formatMicroversion(MIN_MICROVERSION),
  version: formatMicroversion(MAX_MICROVERSION),
});
