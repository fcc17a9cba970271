import express, { type Express } from 'express';
import type { SimulatedMachine } from '../machine.ts';
import { answerError, sendError } from './errors.ts';
import { findMachine } from './machine-of-path.ts';
import { Sessions } from './sessions.ts';
import { systemRoutes } from './system-routes.ts';
import { collectionView, managerPath, systemPath } from './system-resource.ts';
import { managerRoutes } from './virtual-media-routes.ts';

/** The Redfish service of a rack: a ComputerSystem and a Manager per machine, as DSP0266 and the DMTF's schemas have them. */
export function createRedfishService(machines: ReadonlyMap<string, SimulatedMachine>, account: { username: string; password: string }): Express {
  const sessions = new Sessions(account);
  const app = express();
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.set({ 'OData-Version': '4.0', 'Cache-Control': 'no-cache' });
    next();
  });
  app.use(express.json({ limit: '64kb', type: () => true }));
  app.get('/redfish', (_request, response) => void response.json({ v1: '/redfish/v1/' }));
  app.get('/redfish/v1', (_request, response) => void response.json(serviceRoot()));
  app.use(sessions.openRoutes());
  app.use(sessions.authenticate);
  app.use(sessions.closedRoutes());
  app.get('/redfish/v1/Systems', (_request, response) => void response.json(collectionView('/redfish/v1/Systems', 'ComputerSystem', [...machines.keys()].map(systemPath))));
  app.get('/redfish/v1/Managers', (_request, response) => void response.json(collectionView('/redfish/v1/Managers', 'Manager', [...machines.keys()].map(managerPath))));
  const find = findMachine(machines);
  app.use('/redfish/v1/Systems/:machine', find, systemRoutes());
  app.use('/redfish/v1/Managers/:machine', find, managerRoutes());
  app.use((request, response) => sendError(response, 404, 'ResourceMissingAtURI', `There is no resource at ${request.path}.`));
  app.use(answerError);
  return app;
}

const serviceRoot = (): Record<string, unknown> => ({
  '@odata.type': '#ServiceRoot.v1_15_0.ServiceRoot',
  '@odata.id': '/redfish/v1/',
  Id: 'RootService',
  Name: 'Simulated rack',
  RedfishVersion: '1.15.0',
  Systems: { '@odata.id': '/redfish/v1/Systems' },
  Managers: { '@odata.id': '/redfish/v1/Managers' },
  SessionService: { '@odata.id': '/redfish/v1/SessionService' },
  Links: { Sessions: { '@odata.id': '/redfish/v1/SessionService/Sessions' } },
});
