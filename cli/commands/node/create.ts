import type { Arguments } from '../../arguments.ts';
import type { Command } from '../../command.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { parseJsonArgument, parseKeyValues } from '../../key-value.ts';
import { INTERFACE_KINDS, interfaceOptions, optionOf } from './fields.ts';
import { sectionsOfNode } from './show.ts';

const TEXT_FIELDS = ['chassis_uuid', 'uuid', 'name', 'resource_class', 'conductor_group', 'owner', 'lessee', 'description'] as const;
const KEY_VALUE_FIELDS = { driver_info: 'driver-info', properties: 'property', extra: 'extra' } as const;

/** Body of `POST /v1/nodes`: only what was given. */
function nodeOf(args: Arguments): JsonObject {
  const node: JsonObject = { driver: args.required('driver') };
  for (const [field, option] of Object.entries(KEY_VALUE_FIELDS)) {
    const pairs = args.texts(option);
    if (pairs.length > 0) node[field] = parseKeyValues(pairs, option);
  }
  for (const field of [...TEXT_FIELDS, ...INTERFACE_KINDS.map((kind) => `${kind}_interface`)]) {
    const value = args.text(optionOf(field));
    if (value !== undefined) node[field] = value;
  }
  const automatedClean = args.flag('automated-clean');
  if (automatedClean !== undefined) node.automated_clean = automatedClean;
  const networkData = args.text('network-data');
  if (networkData !== undefined) node.network_data = parseJsonArgument(networkData, 'network-data');
  return node;
}

export const createNode: Command = {
  words: 'node create',
  summary: 'Register a new node',
  options: {
    driver: { kind: 'text', describe: 'Hardware type that controls the node', required: true, names: 'drivers' },
    name: { kind: 'text', describe: 'Unique name' },
    uuid: { kind: 'text', describe: 'UUID (default: the service makes one)' },
    'driver-info': { kind: 'repeated', describe: 'KEY=VALUE that the driver uses, such as the address and credentials of the BMC' },
    property: { kind: 'repeated', describe: 'KEY=VALUE that describes the hardware' },
    extra: { kind: 'repeated', describe: 'KEY=VALUE of your own' },
    'resource-class': { kind: 'text', describe: 'Resource class' },
    'chassis-uuid': { kind: 'text', describe: 'UUID of its chassis' },
    'conductor-group': { kind: 'text', describe: 'Group of conductors that may manage it' },
    owner: { kind: 'text', describe: 'Owner' },
    lessee: { kind: 'text', describe: 'Lessee' },
    description: { kind: 'text', describe: 'Text for people' },
    'network-data': { kind: 'text', describe: 'Static network configuration as JSON (network_data.json of Nova)' },
    'automated-clean': { kind: 'flag', describe: 'Clean it automatically (--no-automated-clean: never)' },
    ...interfaceOptions((kind) => `Implementation of the ${kind} interface (default: the driver's)`),
  },
  examples: [
    ['node create --driver redfish --name web-1 --driver-info redfish_address=https://10.0.0.5 --driver-info redfish_username=admin', 'Values are JSON where they parse as JSON, text elsewhere'],
  ],
  async run({ api, output }, args) {
    const node = nodeOf(args);
    output.record(api.objectOf(await api.request('POST', '/v1/nodes', { body: node }), '/v1/nodes'), {}, sectionsOfNode);
  },
};
