import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { deleteEach } from '../each.ts';

export const deleteNodes: Command = {
  words: 'node delete',
  summary: 'Remove nodes from the register',
  positionals: [{ ...NODE_POSITIONAL, many: true }],
  examples: [['node delete web-1 web-2', 'Two nodes']],
  async run({ api, output }, args) {
    await deleteEach(output, 'node', args.texts('node'), (ident) => api.request('DELETE', `/v1/nodes/${segment(ident)}`));
  },
};
