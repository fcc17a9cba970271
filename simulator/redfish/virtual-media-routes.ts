import { Router, type Response } from 'express';
import { z } from 'zod';
import type { SimulatedMachine } from '../machine.ts';
import { sendError } from './errors.ts';
import { machineOf } from './machine-of-path.ts';
import { readBody } from './request-body.ts';
import { collectionView, managerPath, managerView } from './system-resource.ts';

const insertSchema = z.strictObject({ Image: z.string(), Inserted: z.literal(true).optional(), WriteProtected: z.boolean().default(true) });
const ejectSchema = z.strictObject({});
const drivePath = (machine: SimulatedMachine): string => `${managerPath(machine.id)}/VirtualMedia/Cd`;

/** What lives below `/redfish/v1/Managers/{id}`: the BMC and its one virtual CD drive; the machine is found before. */
export function managerRoutes(): Router {
  const router = Router();
  router.get('/', (_request, response) => void response.json(managerView(machineOf(response))));
  router.get('/VirtualMedia', (_request, response) => {
    const machine = machineOf(response);
    response.json(collectionView(`${managerPath(machine.id)}/VirtualMedia`, 'VirtualMedia', [drivePath(machine)]));
  });
  router
    .route('/VirtualMedia/Cd')
    .get((_request, response) => sendDrive(response))
    .all((_request, response) => sendError(response.set('Allow', 'GET'), 405, 'OperationNotAllowed', 'This resource knows GET; insert and eject by its actions.'));
  router.post('/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia', async (request, response) => {
    const body = readBody(insertSchema, request, response);
    if (!body) return;
    await machineOf(response).virtualMedia.insert(body.Image, body.WriteProtected);
    response.status(204).end();
  });
  router.post('/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia', (request, response) => {
    if (!readBody(ejectSchema, request, response)) return;
    machineOf(response).virtualMedia.eject();
    response.status(204).end();
  });
  return router;
}

function sendDrive(response: Response): void {
  const machine = machineOf(response);
  const { image, imageName, writeProtected } = machine.virtualMedia;
  const path = drivePath(machine);
  response.json({
    '@odata.type': '#VirtualMedia.v1_6_0.VirtualMedia',
    '@odata.id': path,
    Id: 'Cd',
    Name: 'Virtual CD',
    MediaTypes: ['CD', 'DVD'],
    Image: image,
    ImageName: imageName,
    Inserted: image !== null,
    ConnectedVia: image === null ? 'NotConnected' : 'URI',
    WriteProtected: writeProtected,
    Actions: {
      '#VirtualMedia.InsertMedia': { target: `${path}/Actions/VirtualMedia.InsertMedia` },
      '#VirtualMedia.EjectMedia': { target: `${path}/Actions/VirtualMedia.EjectMedia` },
    },
  });
}
