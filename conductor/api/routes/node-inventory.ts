import type { Router } from 'express';
import { NotFoundError } from '../../../protocol/errors.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { findNode } from '../node-representation.ts';
import { parameter, resource } from '../resource.ts';

const INVENTORY_MICROVERSION = 81;

/** `/v1/nodes/{ident}/inventory`: what the agent last found in the machine. */
export function nodeInventoryRoutes(router: Router, deps: ApiDependencies): void {
  resource(
    router,
    '/nodes/:ident/inventory',
    {
      GET: async (request, response, context) => {
        const node = await findNode(deps, parameter(request, 'ident'), context);
        const found = await deps.db.inventories.ofNode(node.id);
        if (!found) throw new NotFoundError(`Node inventory record for node ${node.uuid} could not be found.`);
        response.json({ inventory: found.inventory, plugin_data: {} });
      },
    },
    INVENTORY_MICROVERSION,
  );
}
