import { openProvisioningNetwork as openNetwork } from '../../demo/provisioning-network.ts';
import { inOwnNetwork } from './run-options.ts';

export { closeProvisioningNetwork, plugConductor, PROVISIONING, unplugConductor } from '../../demo/provisioning-network.ts';

/** @throws Error in the network namespace of the host, of which nothing may be touched. */
export async function openProvisioningNetwork(): Promise<void> {
  if (!inOwnNetwork()) throw new Error('This is the network of the host: run the tests that boot machines by npm run test:system, which gives them a network of their own');
  await openNetwork();
}
