import { segment } from '../../api-client.ts';
import type { Command } from '../../command.ts';
import { deleteEach } from '../each.ts';

export const deletePorts: Command = {
  words: 'port delete',
  summary: 'Remove network ports from the register',
  positionals: [{ name: 'port', describe: 'UUID of the port', many: true }],
  examples: [['port delete 23f41881-359d-420a-a216-752b2833404c', 'By UUID']],
  async run({ api, output }, args) {
    await deleteEach(output, 'port', args.texts('port'), (ident) => api.request('DELETE', `/v1/ports/${segment(ident)}`));
  },
};
