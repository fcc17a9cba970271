import type { JsonObject } from '../../../protocol/json.ts';
import type { Arguments } from '../../arguments.ts';
import type { Command } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { parseKeyValues } from '../../key-value.ts';
import { nodeUuidOf } from '../node/node-uuid.ts';

function truthOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(true|t|yes|y|on|1)$/i.test(text)) return true;
  if (/^(false|f|no|n|off|0)$/i.test(text)) return false;
  throw new UsageError(`--pxe-enabled expects true or false, got "${text}"`);
}

function portOf(args: Arguments, node_uuid: string): JsonObject {
  const port: JsonObject = { address: args.required('address'), node_uuid };
  for (const [field, option] of Object.entries({ uuid: 'uuid', portgroup_uuid: 'port-group', physical_network: 'physical-network' })) {
    const value = args.text(option);
    if (value !== undefined) port[field] = value;
  }
  for (const [field, option] of Object.entries({ extra: 'extra', local_link_connection: 'local-link-connection' })) {
    if (args.texts(option).length > 0) port[field] = parseKeyValues(args.texts(option), option);
  }
  const pxeEnabled = truthOf(args.text('pxe-enabled'));
  if (pxeEnabled !== undefined) port.pxe_enabled = pxeEnabled;
  if (args.flag('is-smartnic')) port.is_smartnic = true;
  return port;
}

export const createPort: Command = {
  words: 'port create',
  summary: 'Register a network port of a node',
  positionals: [{ name: 'address', describe: 'MAC address' }],
  options: {
    node: { kind: 'text', describe: 'UUID or name of the node', required: true, names: 'nodes' },
    uuid: { kind: 'text', describe: 'UUID of the port (default: the service makes one)' },
    extra: { kind: 'repeated', describe: 'KEY=VALUE of your own' },
    'local-link-connection': { kind: 'repeated', alias: 'l', describe: 'KEY=VALUE of the switch port: switch_id, port_id, switch_info' },
    'pxe-enabled': { kind: 'text', describe: 'Whether the node boots from the network by this port: true or false' },
    'port-group': { kind: 'text', describe: 'UUID of its port group' },
    'physical-network': { kind: 'text', describe: 'Physical network that it is connected to' },
    'is-smartnic': { kind: 'flag', describe: 'It is a Smart NIC port' },
  },
  examples: [['port create 52:54:00:12:34:56 --node web-1', 'The port that the ramdisk is known by']],
  async run(context, args) {
    truthOf(args.text('pxe-enabled')); // a wrong value is found before anything is asked
    const body = portOf(args, await nodeUuidOf(context, args.required('node')));
    context.output.record(context.api.objectOf(await context.api.request('POST', '/v1/ports', { body }), '/v1/ports'));
  },
};
