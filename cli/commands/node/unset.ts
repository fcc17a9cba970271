import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';
import { interfaceOptions, optionOf } from './fields.ts';
import { PLAIN_FIELDS, patchToUnset } from './patch.ts';

const plainOptions: Record<string, OptionSpec> = Object.fromEntries(
  [...PLAIN_FIELDS.filter((field) => field !== 'driver'), 'automated_clean', 'network_data'].map((field) => [optionOf(field), { kind: 'flag', describe: `Unset ${field}` }]),
);

export const unsetNode: Command = {
  words: 'node unset',
  summary: 'Unset fields of a node',
  positionals: [NODE_POSITIONAL],
  options: {
    ...plainOptions,
    property: { kind: 'repeated', describe: 'KEY of a property' },
    extra: { kind: 'repeated', describe: 'KEY of an extra' },
    'driver-info': { kind: 'repeated', describe: 'KEY of driver_info' },
    'instance-info': { kind: 'repeated', describe: 'KEY of instance_info' },
    ...interfaceOptions((kind) => `Back to the driver's default ${kind} interface`, 'flag'),
  },
  examples: [['node unset web-1 --extra rack --description', 'A member and a field']],
  async run({ api }, args) {
    const body = patchToUnset(args);
    await api.request('PATCH', `/v1/nodes/${segment(args.required('node'))}`, { body });
  },
};
