import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { printChecks } from '../checks.ts';

export const validateNode: Command = {
  words: 'node validate',
  summary: "Check a node's interfaces; what does not pass is shown with its reason, and the exit code is 0 all the same",
  positionals: [NODE_POSITIONAL],
  examples: [['node validate web-1', 'Before a deployment or a snapshot']],
  async run({ api, output }, args) {
    printChecks(output, await api.getObject(`/v1/nodes/${segment(args.required('node'))}/validate`), 'Interface');
  },
};
