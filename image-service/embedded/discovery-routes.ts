import type { Request } from 'express';
import { IMAGES_SCHEMA, IMAGE_SCHEMA } from './image-schema.ts';
import type { RouteTable } from './routing.ts';

/** Newest first. 2.7 brought os_hash_* and os_hidden; what came later we do not have. */
const VERSIONS = ['v2.7', 'v2.6', 'v2.5', 'v2.4', 'v2.3', 'v2.2', 'v2.1', 'v2.0'];

/** The document by which clients find the API; links name the host as the client named it. */
export const versionsDocument = (request: Request): object => {
  const href = `${request.protocol}://${request.get('host') ?? ''}/v2/`;
  return { versions: VERSIONS.map((id, index) => ({ id, status: index === 0 ? 'CURRENT' : 'SUPPORTED', links: [{ rel: 'self', href }] })) };
};

/** What clients ask before they begin: versions, schemas, and what the service can do besides. */
export const discoveryRoutes = (): RouteTable => ({
  '/': { GET: (request, response) => void response.status(300).json(versionsDocument(request)) },
  '/versions': { GET: (request, response) => void response.json(versionsDocument(request)) },
  '/v2': { GET: (_request, response) => response.redirect(302, '/v2/') },
  '/v2/schemas/image': { GET: (_request, response) => void response.json(IMAGE_SCHEMA) },
  '/v2/schemas/images': { GET: (_request, response) => void response.json(IMAGES_SCHEMA) },
  '/v2/info/stores': { GET: (_request, response) => void response.json({ stores: [{ id: 'file', default: 'true' }] }) },
  '/v2/info/import': { GET: (_request, response) => void response.json({ 'import-methods': { description: 'Import methods available.', type: 'array', value: [] } }) },
});
