import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { interfaceOptions } from './fields.ts';
import { patchToSet } from './patch.ts';

export const setNode: Command = {
  words: 'node set',
  summary: 'Set fields of a node',
  positionals: [NODE_POSITIONAL],
  options: {
    name: { kind: 'text', describe: 'Unique name' },
    driver: { kind: 'text', describe: 'Hardware type' },
    'driver-info': { kind: 'repeated', describe: 'KEY=VALUE that the driver uses' },
    property: { kind: 'repeated', describe: 'KEY=VALUE that describes the hardware' },
    'instance-info': { kind: 'repeated', describe: 'KEY=VALUE of what runs on it' },
    extra: { kind: 'repeated', describe: 'KEY=VALUE of your own' },
    'instance-uuid': { kind: 'text', describe: 'UUID of the instance' },
    'chassis-uuid': { kind: 'text', describe: 'UUID of the chassis' },
    'resource-class': { kind: 'text', describe: 'Resource class' },
    'conductor-group': { kind: 'text', describe: 'Group of conductors that may manage it' },
    owner: { kind: 'text', describe: 'Owner' },
    lessee: { kind: 'text', describe: 'Lessee' },
    description: { kind: 'text', describe: 'Text for people' },
    protected: { kind: 'flag', describe: 'Protect it from undeploy, rebuild and deletion' },
    'protected-reason': { kind: 'text', describe: 'Why it is protected' },
    retired: { kind: 'flag', describe: 'Mark it as retired' },
    'retired-reason': { kind: 'text', describe: 'Why it is retired' },
    'automated-clean': { kind: 'flag', describe: 'Clean it automatically (--no-automated-clean: never)' },
    'network-data': { kind: 'text', describe: 'Static network configuration as JSON (network_data.json of Nova)' },
    ...interfaceOptions((kind) => `Implementation of the ${kind} interface`),
    ...interfaceOptions((kind) => `Back to the driver's default ${kind} interface`, 'flag', 'reset-'),
    'reset-interfaces': { kind: 'flag', describe: 'With --driver: all interfaces that are not given back to defaults' },
  },
  examples: [
    ['node set web-1 --property cpus=16 --extra rack=r7', 'Properties and extras'],
    ["node set web-1 --property 'root_device={\"serial\": \"S1234\"}'", 'A value that is JSON'],
  ],
  async run({ api }, args) {
    const resets = args.flag('reset-interfaces') === true;
    if (resets && args.text('driver') === undefined) throw new UsageError('--reset-interfaces can only be given with --driver');
    const body = patchToSet(args);
    await api.request('PATCH', `/v1/nodes/${segment(args.required('node'))}${resets ? '?reset_interfaces=True' : ''}`, { body });
  },
};
