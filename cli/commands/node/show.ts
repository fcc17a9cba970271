import type { JsonObject } from '../../../protocol/json.ts';
import { segment, withQuery } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command, type CommandContext } from '../../command.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';
import { describeSnapshot, snapshotViewOf } from '../../snapshot-view.ts';

async function getByInstance({ api }: CommandContext, instanceUuid: string): Promise<JsonObject> {
  const [node] = await api.list(withQuery('/v1/nodes/detail', { instance_uuid: instanceUuid }), 'nodes', 1);
  if (!node) throw new CommandFailure(EXIT.notFound, `no node has the instance ${instanceUuid}`);
  return node;
}

export const showNode: Command = {
  words: 'node show',
  summary: 'Show a node, and how far its snapshot is',
  positionals: [NODE_POSITIONAL],
  options: {
    instance: { kind: 'flag', describe: 'NODE is the UUID of an instance' },
    fields: { kind: 'words', describe: 'Only these fields: words or commas' },
  },
  conflicts: [['instance', 'fields']],
  examples: [
    ['node show web-1 -f value -c provision_state', 'One value for a script'],
    ['node show web-1 --fields provision_state last_error', 'Two fields as a table'],
  ],
  async run(context, args) {
    const ident = args.required('node');
    const fields = args.fields('fields');
    const path = withQuery(`/v1/nodes/${segment(ident)}`, { fields: fields.length > 0 ? fields.join(',') : undefined });
    const node = args.flag('instance') ? await getByInstance(context, ident) : await context.api.getObject(path);
    const view = snapshotViewOf(node);
    context.output.record(node, view ? { snapshot: describeSnapshot(view) } : {});
  },
};
