import type { Express } from 'express';
import { createApplication } from './application.ts';
import type { AdminDependencies } from './dependencies.ts';
import { createPolicy } from './policy.ts';
import { PORTGROUPS } from './portgroup-resource.ts';
import { conductorRoutes } from './routes/conductors.ts';
import { ADMIN_RESOURCES, discoveryRoutes } from './routes/discovery.ts';
import { driverRoutes } from './routes/drivers.ts';
import { nodeCareRoutes } from './routes/node-care.ts';
import { nodeHistoryRoutes } from './routes/node-history.ts';
import { nodeInventoryRoutes } from './routes/node-inventory.ts';
import { nodeStatesRoutes } from './routes/node-states.ts';
import { nodeTraitsRoutes } from './routes/node-traits.ts';
import { unsupportedNodeRoutes } from './routes/node-unsupported.ts';
import { nodeVifRoutes } from './routes/node-vifs.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { descriptionRoutes } from './routes/openapi.ts';
import { portRoutes } from './routes/ports.ts';
import { ramdiskRoutes } from './routes/ramdisk.ts';
import { recordRoutes } from './routes/record-routes.ts';
import { volumeRoutes } from './routes/volumes.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;

/** The admin API: Ironic's, as far as this service goes, behind `deps.auth`. */
export function createAdminApp(deps: AdminDependencies): Express {
  return createApplication({
    log: deps.log,
    publicUrl: deps.config.publicUrl,
    auth: deps.auth,
    policy: createPolicy(deps.db),
    bodyLimitBytes: BODY_LIMIT_BYTES,
    routes: (root, v1) => {
      discoveryRoutes(root, ADMIN_RESOURCES);
      nodeRoutes(v1, deps);
      nodeStatesRoutes(v1, deps);
      nodeCareRoutes(v1, deps);
      nodeHistoryRoutes(v1, deps);
      nodeTraitsRoutes(v1, deps);
      nodeVifRoutes(v1, deps);
      nodeInventoryRoutes(v1, deps);
      unsupportedNodeRoutes(v1, deps);
      portRoutes(v1, deps);
      recordRoutes(v1, deps, PORTGROUPS);
      volumeRoutes(v1, deps);
      driverRoutes(v1, deps);
      conductorRoutes(v1, deps);
      ramdiskRoutes(v1, deps);
      descriptionRoutes(root, v1);
    },
  });
}
