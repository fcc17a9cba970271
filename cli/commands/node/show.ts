import type { JsonObject } from '../../../protocol/json.ts';
import { segment, withQuery } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command, type CommandContext } from '../../command.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';
import { describeOperation, describeSnapshot, operationViewOf, snapshotViewOf } from '../../node-view.ts';

async function getByInstance({ api }: CommandContext, instanceUuid: string): Promise<JsonObject> {
  const [node] = await api.list(withQuery('/v1/nodes/detail', { instance_uuid: instanceUuid }), 'nodes', 1);
  if (!node) throw new CommandFailure(EXIT.notFound, `no node has the instance ${instanceUuid}`);
  return node;
}

/** What a person looks for first, in the order of interest; interfaces and times have sections of their own, the rest is between. */
const SECTIONS: readonly (readonly string[])[] = [
  ['name', 'uuid', 'description', 'resource_class', 'owner', 'lessee'],
  ['provision_state', 'target_provision_state', 'power_state', 'target_power_state', 'maintenance', 'maintenance_reason', 'fault', 'last_error', 'reservation', 'snapshot', 'operation'],
  ['instance_uuid', 'instance_info', 'protected', 'protected_reason', 'retired', 'retired_reason'],
  ['driver', 'driver_info', 'properties', 'traits', 'extra', 'driver_internal_info'],
];

/** The fields of a node in sections, for `Output.record`. */
export function sectionsOfNode(fields: readonly string[]): string[][] {
  const first = SECTIONS.map((section) => section.filter((field) => fields.includes(field)));
  const others = fields.filter((field) => !first.some((section) => section.includes(field)));
  const [interfaces, times] = [/_interface$/, /_at$/].map((pattern) => others.filter((field) => pattern.test(field)));
  const rest = others.filter((field) => !/_(interface|at)$/.test(field));
  return [...first, rest, interfaces ?? [], times ?? []];
}

export const showNode: Command = {
  words: 'node show',
  summary: 'Show a node, and how far its snapshot or deployment is',
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
    const snapshot = snapshotViewOf(node);
    const operation = operationViewOf(node);
    const extras = { ...(snapshot ? { snapshot: describeSnapshot(snapshot) } : {}), ...(operation ? { operation: describeOperation(operation) } : {}) };
    context.output.record(node, extras, fields.length > 0 ? undefined : sectionsOfNode);
  },
};
