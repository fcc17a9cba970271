import type { JsonObject } from '../../../protocol/json.ts';
import { segment, withQuery } from '../../api-client.ts';
import type { Arguments } from '../../arguments.ts';
import type { Command, CommandContext, PositionalSpec } from '../../command.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';
import { plainText } from '../../output.ts';
import { deleteEach } from '../each.ts';
import { LISTING_OPTIONS, PAGING_OPTIONS, printListing } from '../listing.ts';
import { nodeUuidOf } from '../node/node-uuid.ts';
import { patchToSetRecord, patchToUnsetRecord, recordOf, unsetOptions, valueOptions, type PatchableKind, type RecordKind } from './record-kind.ts';

const positionalOf = ({ noun, identDescribe }: Pick<RecordKind, 'noun' | 'identDescribe'>): PositionalSpec => ({ name: noun.replaceAll(' ', '-'), describe: identDescribe });
const pathOf = (kind: Pick<RecordKind, 'path'>, ident: string): string => `${kind.path}/${segment(ident)}`;

export function createCommand(kind: RecordKind): Command {
  return {
    words: `${kind.words} create`,
    summary: `Register a ${kind.noun} of a node`,
    options: { ...valueOptions(kind.fields, true), uuid: { kind: 'text', describe: `UUID of the ${kind.noun} (default: the service makes one)` } },
    examples: [kind.examples.create],
    async run(context, args) {
      const uuid = args.text('uuid');
      const record = { ...recordOf(kind.fields, args), ...(uuid === undefined ? {} : { uuid }) };
      const body = { ...record, node_uuid: await nodeUuidOf(context, args.required('node')) };
      context.output.record(context.api.objectOf(await context.api.request('POST', kind.path, { body }), kind.path));
    },
  };
}

export function listCommand(kind: RecordKind): Command {
  return {
    words: `${kind.words} list`,
    summary: `List ${kind.noun}s`,
    options: {
      ...LISTING_OPTIONS,
      ...PAGING_OPTIONS,
      ...Object.fromEntries(Object.entries(kind.filters).map(([option, { describe }]) => [option, { kind: 'text' as const, describe, ...(option === 'node' ? { names: 'nodes' as const } : {}) }])),
    },
    conflicts: [['long', 'fields']],
    examples: [kind.examples.list],
    async run(context, args) {
      const { path, collection, detailPath, defaultFields, labels } = kind;
      const filters = Object.fromEntries(Object.entries(kind.filters).map(([option, { query }]) => [query, args.text(option)]));
      await printListing(context, args, { path, collection, detailPath, defaultFields, labels, filters });
    },
  };
}

async function getByAddress({ api }: CommandContext, kind: RecordKind, address: string, fields: string | undefined): Promise<JsonObject> {
  const path = fields === undefined ? withQuery(kind.detailPath ?? kind.path, { address }) : withQuery(`${kind.path}/`, { address, fields });
  const [found] = await api.list(path, kind.collection, 1);
  if (!found) throw new CommandFailure(EXIT.notFound, `no ${kind.noun} has the address ${address}`);
  return found;
}

export function showCommand(kind: RecordKind): Command {
  return {
    words: `${kind.words} show`,
    summary: `Show a ${kind.noun}`,
    positionals: [positionalOf(kind)],
    options: {
      ...(kind.hasAddress ? { address: { kind: 'flag', describe: 'The positional is a MAC address' } as const } : {}),
      fields: { kind: 'words', describe: 'Only these fields: words or commas' },
    },
    examples: [kind.examples.show],
    async run(context, args) {
      const ident = args.required(positionalOf(kind).name);
      const asked = args.fields('fields');
      const fields = asked.length > 0 ? asked.join(',') : undefined;
      context.output.record(args.flag('address') ? await getByAddress(context, kind, ident, fields) : await context.api.getObject(withQuery(pathOf(kind, ident), { fields })));
    },
  };
}

export function setCommand(kind: PatchableKind): Command {
  return patching(kind, 'set', valueOptions(kind.fields, false), async (context, args) => {
    const patch = patchToSetRecord(kind.fields, args);
    const node = patch.find(({ path }) => path === '/node_uuid');
    if (node?.op === 'add') node.value = await nodeUuidOf(context, plainText(node.value));
    return patch;
  });
}

export const unsetCommand = (kind: PatchableKind): Command => patching(kind, 'unset', unsetOptions(kind.fields), async (_context, args) => patchToUnsetRecord(kind.fields, args));

function patching(kind: PatchableKind, verb: 'set' | 'unset', options: Command['options'], patchOf: (context: CommandContext, args: Arguments) => Promise<unknown>): Command {
  return {
    words: `${kind.words} ${verb}`,
    summary: `${verb === 'set' ? 'Set' : 'Unset'} fields of a ${kind.noun}`,
    positionals: [positionalOf(kind)],
    options,
    examples: [kind.examples[verb]],
    async run(context, args) {
      const path = pathOf(kind, args.required(positionalOf(kind).name));
      await context.api.request('PATCH', path, { body: await patchOf(context, args) });
    },
  };
}

export function deleteCommand(kind: RecordKind): Command {
  const positional = positionalOf(kind);
  return {
    words: `${kind.words} delete`,
    summary: `Remove ${kind.noun}s from the register`,
    positionals: [{ ...positional, many: true }],
    examples: [kind.examples.delete],
    async run({ api, output }, args) {
      await deleteEach(output, kind.noun, args.texts(positional.name), (ident) => api.request('DELETE', pathOf(kind, ident)));
    },
  };
}

/** All six commands of a kind, in the order of the help. */
export const recordCommands = (kind: RecordKind): readonly Command[] => [createCommand, listCommand, showCommand, setCommand, unsetCommand, deleteCommand].map((make) => make(kind));
