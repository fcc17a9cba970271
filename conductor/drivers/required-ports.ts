import { InvalidParameterError } from '../../protocol/errors.ts';
import type { DriverTask } from './interfaces.ts';

/** @throws InvalidParameterError for a node without a port: nobody could tell whose ramdisk it is that calls. */
export function requirePorts({ node, ports }: DriverTask): Promise<void> {
  if (ports.length > 0) return Promise.resolve();
  return Promise.reject(new InvalidParameterError(`Node ${node.uuid} has no port: without a MAC address its ramdisk can not be recognised. Create one with "baremetal port create MAC --node ${node.uuid}".`));
}
