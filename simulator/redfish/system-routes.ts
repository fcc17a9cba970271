import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { bootPatchSchema } from '../boot-override.ts';
import { faultChangeSchema } from '../faults.ts';
import { RESET_TYPES } from '../machine.ts';
import { sendError } from './errors.ts';
import { machineOf } from './machine-of-path.ts';
import { readBody } from './request-body.ts';
import { collectionView, ethernetView, storageView, systemEtag, systemPath, systemView } from './system-resource.ts';

const patchSchema = z.strictObject({ Boot: bootPatchSchema });
const resetSchema = z.strictObject({ ResetType: z.enum(RESET_TYPES).default('On') });

/** What lives below `/redfish/v1/Systems/{id}`; the machine is found before. */
export function systemRoutes(): Router {
  const router = Router();
  router
    .route('/')
    .get((_request, response) => sendSystem(response))
    .patch(patchSystem)
    .all((_request, response) => sendError(response.set('Allow', 'GET, PATCH'), 405, 'OperationNotAllowed', 'This resource knows GET and PATCH.'));
  router.post('/Actions/ComputerSystem.Reset', async (request, response) => {
    const body = readBody(resetSchema, request, response);
    if (!body) return;
    await machineOf(response).reset(body.ResetType);
    response.status(204).end();
  });
  router.post('/Actions/Oem/Metalshot.SetFaults', (request, response) => {
    const change = readBody(faultChangeSchema, request, response);
    if (!change) return;
    const machine = machineOf(response);
    machine.setFaults(change);
    response.json(machine.faults);
  });
  router.get('/EthernetInterfaces', (_request, response) => {
    const machine = machineOf(response);
    const path = `${systemPath(machine.id)}/EthernetInterfaces`;
    response.json(collectionView(path, 'EthernetInterface', machine.config.macs.map((_mac, index) => `${path}/NIC${index}`)));
  });
  router.get('/EthernetInterfaces/NIC:index', (request, response, next) => {
    const view = ethernetView(machineOf(response), Number(request.params.index));
    if (view) response.json(view);
    else next();
  });
  router.get('/SimpleStorage', (_request, response) => {
    const path = `${systemPath(machineOf(response).id)}/SimpleStorage`;
    response.json(collectionView(path, 'SimpleStorage', [`${path}/1`]));
  });
  router.get('/SimpleStorage/1', async (_request, response) => {
    response.json(await storageView(machineOf(response)));
  });
  return router;
}

function patchSystem(request: Request, response: Response): void {
  const machine = machineOf(response);
  const wanted = request.get('If-Match');
  if (wanted !== undefined && wanted !== '*' && withoutWeakness(wanted) !== withoutWeakness(systemEtag(machine))) {
    sendError(response, 412, 'PreconditionFailed', 'The ETag of If-Match is not the current one: read the resource again.');
    return;
  }
  const body = readBody(patchSchema, request, response);
  if (!body) return;
  machine.bootOverride.apply(body.Boot, machine.faults);
  sendSystem(response);
}

function sendSystem(response: Response): void {
  const machine = machineOf(response);
  response.set('ETag', systemEtag(machine)).json(systemView(machine));
}

/** Clients differ in whether they send a weak tag back as weak; both name the same state. */
const withoutWeakness = (etag: string): string => etag.replace(/^W\//, '');
