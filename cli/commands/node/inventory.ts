import { writeFile } from 'node:fs/promises';
import { messageOf } from '../../../protocol/errors.ts';
import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';

export const saveInventory: Command = {
  words: 'node inventory save',
  summary: 'Print what the agent found in a node, as JSON',
  positionals: [NODE_POSITIONAL],
  options: { file: { kind: 'text', describe: 'Write it to this file instead' } },
  examples: [["node inventory save web-1 | jq '.inventory.disks'", 'Its disks']],
  async run({ api, output }, args) {
    const inventory = await api.getObject(`/v1/nodes/${segment(args.required('node'))}/inventory`, { needs: { minor: 81, feature: 'the inventory of a node' } });
    const path = args.text('file');
    if (path === undefined) return output.json(inventory);
    await writeFile(path, `${JSON.stringify(inventory, null, 2)}\n`).catch((error: unknown) => {
      throw new UsageError(`--file: cannot be written: ${messageOf(error)}`);
    });
  },
};
