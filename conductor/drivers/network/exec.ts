import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { InvalidParameterError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';
import { SYSTEM_PATH, runProgram } from '../../../protocol/program.ts';
import type { DriverTask, NetworkDriver } from '../interfaces.ts';

export interface NetworkCommand {
  /** Program and its first arguments. */
  command: readonly string[];
  timeoutMs: number;
}

/** Last argument of the program. Each may be asked for again, and must then leave everything as it is. */
type NetworkAction = 'unconfigure_tenant_networks' | 'add_provisioning_network' | 'remove_provisioning_network' | 'configure_tenant_networks';

/** The program gets no more of our environment: that may hold secrets. */
const ENVIRONMENT = { PATH: SYSTEM_PATH, LANG: 'C.UTF-8' };

/**
 * Networks switched by a program of the operator's: it is run with the action as its last argument, and with node and ports
 * as JSON on its standard input. Exit code 0 means that the network is as asked for; anything else fails the work, with
 * what the program wrote to standard error.
 */
export function createExecNetwork(network: NetworkCommand | null): NetworkDriver {
  const act =
    (action: NetworkAction) =>
    async (task: DriverTask): Promise<void> => run(configured(network), action, task);
  return {
    name: 'exec',
    properties: {},
    validate: async () => checkProgram(configured(network)),
    unconfigureTenantNetworks: act('unconfigure_tenant_networks'),
    addProvisioningNetwork: act('add_provisioning_network'),
    removeProvisioningNetwork: act('remove_provisioning_network'),
    configureTenantNetworks: act('configure_tenant_networks'),
  };
}

function configured(network: NetworkCommand | null): NetworkCommand & { program: string } {
  const [program] = network?.command ?? [];
  if (network === null || program === undefined) throw new InvalidParameterError('The network interface "exec" needs the program that switches networks: set network.exec_command in the conductor\'s configuration, or give the node the network interface "noop".');
  return { ...network, program };
}

async function checkProgram({ program }: { program: string }): Promise<void> {
  const refuse = (found: string, cause?: unknown): never => {
    throw new InvalidParameterError(`network.exec_command: expected the absolute path of an executable file, found ${program}${found}`, {}, cause);
  };
  if (!isAbsolute(program)) refuse('');
  try {
    await access(program, constants.X_OK);
    if (!(await stat(program)).isFile()) refuse(', which is no file');
  } catch (error) {
    if (error instanceof InvalidParameterError) throw error;
    refuse(`: ${messageOf(error)}`, error);
  }
}

async function run({ program, command, timeoutMs }: NetworkCommand & { program: string }, action: NetworkAction, task: DriverTask): Promise<void> {
  await checkProgram({ program });
  try {
    await runProgram(program, [...command.slice(1), action], { timeoutMs, signal: task.signal, env: ENVIRONMENT, cwd: '/', input: `${JSON.stringify(describe(action, task))}\n` });
  } catch (error) {
    throw new OperationFailedError(`The network of node ${task.node.uuid} could not be switched (${action}): ${messageOf(error)}`, {}, error);
  }
  task.log.info({ action }, 'network switched');
}

/** What the program is told; nothing of `driver_info`, which holds the BMC's password. */
const describe = (action: NetworkAction, { node, ports }: DriverTask): Record<string, unknown> => ({
  action,
  node: {
    uuid: node.uuid,
    name: node.name,
    driver: node.driver,
    properties: node.properties,
    extra: node.extra,
    instance_uuid: node.instanceUuid,
    network_data: node.networkData,
  },
  ports: ports.map((port) => ({
    uuid: port.uuid,
    address: port.address,
    physical_network: port.physicalNetwork,
    local_link_connection: port.localLinkConnection,
    extra: port.extra,
    internal_info: port.internalInfo,
  })),
});
