import express, { type Express } from 'express';
import { createApplication } from './application.ts';
import { noAuth } from './authentication.ts';
import type { ProvisioningDependencies } from './dependencies.ts';
import { createPolicy } from './policy.ts';
import { discoveryRoutes, PROVISIONING_RESOURCES } from './routes/discovery.ts';
import { ramdiskRoutes } from './routes/ramdisk.ts';

/** A heartbeat with a certificate has a few KiB; machines that nobody knows can reach this listener. */
const BODY_LIMIT_BYTES = 64 * 1024;

/**
 * What machines reach while they run the ramdisk: versions, lookup, heartbeat, the share and their images, and nothing else. Without authentication:
 * a lookup is answered only where a ramdisk is expected, and a heartbeat needs the token that the lookup gave.
 * `config.publicUrl` is the address by which machines reach this listener.
 */
export function createProvisioningApp(deps: ProvisioningDependencies): Express {
  const app = express();
  app.disable('x-powered-by');
  for (const { path, handler } of deps.mounts ?? []) app.use(path, handler);
  const api = createApplication({
    log: deps.log,
    publicUrl: deps.config.publicUrl,
    auth: noAuth(),
    policy: createPolicy(deps.db),
    bodyLimitBytes: BODY_LIMIT_BYTES,
    routes: (root, v1) => {
      discoveryRoutes(root, PROVISIONING_RESOURCES);
      ramdiskRoutes(v1, deps);
    },
  });
  return app.use(api);
}
