import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestHandler } from 'express';
import { createAdminApp } from '../../../../conductor/api/admin-app.ts';
import { noAuth } from '../../../../conductor/api/authentication.ts';
import { createProvisioningApp } from '../../../../conductor/api/provisioning-app.ts';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import { createFakeDeploy } from '../../../../conductor/drivers/deploy/fake.ts';
import { createHardwareRegistry } from '../../../../conductor/drivers/hardware.ts';
import { createFakeSnapshot } from '../../../../conductor/drivers/snapshot/fake.ts';
import { createHttpClient } from '../../../../protocol/http-client.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { DOUBLE_HOST, WorkflowDouble } from './workflow-double.ts';

export interface Reply {
  status: number;
  headers: Record<string, string | undefined>;
  body: unknown;
  /** What `error_message` holds. */
  error: { faultcode?: string; faultstring?: string; code?: number; title?: string; description?: string } | undefined;
}
export interface CallOptions {
  /** `1.N`; null sends none. Default: 1.116. */
  version?: string | null;
  headers?: Record<string, string>;
  body?: unknown;
}

/** The API over HTTP with a real database and the hardware registry; only the workflow is a double. */
export interface ApiUnderTest {
  url: string;
  db: Database;
  workflow: WorkflowDouble;
  call(method: string, path: string, options?: CallOptions): Promise<Reply>;
  close(): Promise<void>;
}

export async function startApi(options: { auth?: RequestHandler; listener?: 'admin' | 'provisioning'; mounts?: { path: string; handler: RequestHandler }[] } = {}): Promise<ApiUnderTest> {
  const db = await openDatabase({ path: ':memory:' });
  const workflow = new WorkflowDouble(db);
  const hardware = createHardwareRegistry({ enabled: ['fake-hardware', 'redfish'], services: { agentSnapshot: createFakeSnapshot(), directDeploy: createFakeDeploy() } });
  await db.conductors.register({ hostname: DOUBLE_HOST, conductorGroup: '', drivers: hardware.names() });
  const deps = { db, workflow, hardware, config: { conductorName: DOUBLE_HOST, conductorGroup: '' }, log: createLogger('test', 'silent') };
  const app = options.listener === 'provisioning' ? createProvisioningApp({ ...deps, mounts: options.mounts ?? [] }) : createAdminApp({ ...deps, auth: options.auth ?? noAuth() });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const http = createHttpClient({ baseURL: url, timeoutMs: 10_000 });
  return {
    url,
    db,
    workflow,
    async call(method, path, { version = '1.116', headers = {}, body } = {}) {
      const sent = { ...(version === null ? {} : { 'X-OpenStack-Ironic-API-Version': version }), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers };
      const reply = await http.request<unknown>({ method, url: path, headers: sent, data: typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body), transformRequest: (data: unknown) => data });
      const message = (reply.data as { error_message?: string } | null)?.error_message;
      return { status: reply.status, headers: reply.headers as Reply['headers'], body: reply.data, error: message === undefined ? undefined : (JSON.parse(message) as Reply['error']) };
    },
    async close() {
      await closeServer(server);
      await hardware.close();
      await db.close();
    },
  };
}

const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
