import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { parseKeyValues } from '../../key-value.ts';

const pathOf = (ident: string): string => `/v1/nodes/${segment(ident)}/vifs`;
const VIF = { name: 'vif', describe: 'Name or UUID of the virtual interface' };

const listVifs: Command = {
  words: 'node vif list',
  summary: 'List the virtual interfaces attached to a node',
  positionals: [NODE_POSITIONAL],
  examples: [['node vif list web-1', 'Their ids']],
  async run({ api, output }, args) {
    output.rows(await api.list(pathOf(args.required('node')), 'vifs'), ['id']);
  },
};

const attachVif: Command = {
  words: 'node vif attach',
  summary: 'Attach a virtual interface to a node',
  positionals: [NODE_POSITIONAL, VIF],
  options: {
    'port-uuid': { kind: 'text', describe: 'UUID of the port or port group to attach it to (default: a free one)' },
    'vif-info': { kind: 'repeated', describe: 'KEY=VALUE that goes with it' },
  },
  examples: [['node vif attach web-1 3c9f8c1e-0a6f-4c1c-9d4e-7a2f4b1f2a10', 'To a free port']],
  async run({ api }, args) {
    const info = parseKeyValues(args.texts('vif-info'), 'vif-info');
    if ('id' in info) throw new UsageError('--vif-info cannot set "id": it is the positional argument');
    const port = args.text('port-uuid');
    await api.request('POST', pathOf(args.required('node')), { body: { id: args.required('vif'), ...info, ...(port === undefined ? {} : { port_uuid: port }) } });
  },
};

const detachVif: Command = {
  words: 'node vif detach',
  summary: 'Detach a virtual interface from a node',
  positionals: [NODE_POSITIONAL, VIF],
  examples: [['node vif detach web-1 3c9f8c1e-0a6f-4c1c-9d4e-7a2f4b1f2a10', 'By id']],
  async run({ api }, args) {
    await api.request('DELETE', `${pathOf(args.required('node'))}/${segment(args.required('vif'))}`);
  },
};

export const vifCommands: readonly Command[] = [listVifs, attachVif, detachVif];
