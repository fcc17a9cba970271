import type { RequestHandler } from 'express';
import type { Logger } from '../../protocol/log.ts';
import type { Database } from '../db/database.ts';
import type { HardwareRegistry } from '../drivers/hardware.ts';
import type { Workflow } from '../workflow/workflow.ts';

export interface ApiConfig {
  /** Of this process: what `conductor` and `hosts` show. */
  conductorName: string;
  conductorGroup: string;
  /** Base of every link, without a trailing slash; by default what the request's Host header says, where that is a host. */
  publicUrl?: string;
}

/** What the API works with; made once by app. */
export interface ApiDependencies {
  db: Database;
  workflow: Workflow;
  hardware: Pick<HardwareRegistry, 'names' | 'interfacesOf' | 'properties' | 'resolveInterfaces'>;
  config: ApiConfig;
  log: Logger;
}

export interface AdminDependencies extends ApiDependencies {
  /** Sets the caller (see request-context) or refuses. */
  auth: RequestHandler;
}

export interface ProvisioningDependencies extends ApiDependencies {
  /** Each takes every request below its path, before anything here has looked at it. */
  mounts?: readonly { path: string; handler: RequestHandler }[];
}
