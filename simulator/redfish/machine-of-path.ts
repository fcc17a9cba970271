import type { RequestHandler, Response } from 'express';
import type { SimulatedMachine } from '../machine.ts';
import { sendError } from './errors.ts';

/** The machine that `findMachine` put there. */
export const machineOf = (response: Response): SimulatedMachine => (response.locals as { machine: SimulatedMachine }).machine;

/** Finds the machine of the path and lets its BMC misbehave where a fault says so; the action that sets faults always works. */
export const findMachine =
  (machines: ReadonlyMap<string, SimulatedMachine>): RequestHandler =>
  (request, response, next) => {
    const machine = machines.get(String(request.params['machine']));
    if (!machine) {
      sendError(response, 404, 'ResourceMissingAtURI', `There is no resource at ${request.originalUrl}.`);
      return;
    }
    (response.locals as { machine: SimulatedMachine }).machine = machine;
    const fault = request.path === '/Actions/Oem/Metalshot.SetFaults' ? null : machine.takeBmcFault();
    if (fault === null) next();
    else if (fault === 'error') sendError(response, 500, 'InternalError', 'The service failed (fault bmc: error).');
    else if (fault === 'drop') request.socket.destroy();
    // hang: no answer; the connection stays open until the client or the end of the simulator closes it
  };
