import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';

const path = (ident: string): string => `/v1/nodes/${segment(ident)}/maintenance`;

export const setMaintenance: Command = {
  words: 'node maintenance set',
  summary: 'Put a node into maintenance: it is left alone',
  positionals: [NODE_POSITIONAL],
  options: { reason: { kind: 'text', describe: 'Why' } },
  examples: [['node maintenance set web-1 --reason "new disks"', 'With a reason']],
  async run({ api }, args) {
    await api.request('PUT', path(args.required('node')), { body: { reason: args.text('reason') ?? null } });
  },
};

export const unsetMaintenance: Command = {
  words: 'node maintenance unset',
  summary: 'Take a node out of maintenance',
  positionals: [NODE_POSITIONAL],
  examples: [['node maintenance unset web-1', 'Back to work']],
  async run({ api }, args) {
    await api.request('DELETE', path(args.required('node')));
  },
};
