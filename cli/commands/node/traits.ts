import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { doEach } from '../each.ts';

const pathOf = (ident: string): string => `/v1/nodes/${segment(ident)}/traits`;
const TRAIT = { name: 'trait', describe: 'Trait, such as HW_CPU_X86_VMX or CUSTOM_…', many: true };

const listTraits: Command = {
  words: 'node trait list',
  summary: 'List the traits of a node',
  positionals: [NODE_POSITIONAL],
  examples: [['node trait list web-1 -f value', 'One a line']],
  async run({ api, output }, args) {
    const { traits } = await api.getObject(pathOf(args.required('node')));
    output.rows((Array.isArray(traits) ? traits : []).map((name) => ({ traits: name })), ['traits']);
  },
};

const addTrait: Command = {
  words: 'node add trait',
  summary: 'Add traits to a node',
  positionals: [NODE_POSITIONAL, TRAIT],
  examples: [['node add trait web-1 CUSTOM_FAST_DISK', 'One of your own']],
  async run({ api, output }, args) {
    const path = pathOf(args.required('node'));
    await doEach(output, args.texts('trait'), (trait) => `added trait ${trait}`, (trait) => api.request('PUT', `${path}/${segment(trait)}`));
  },
};

const removeTrait: Command = {
  words: 'node remove trait',
  summary: 'Remove traits from a node',
  positionals: [NODE_POSITIONAL, { ...TRAIT, optional: true }],
  options: { all: { kind: 'flag', describe: 'Remove all of them' } },
  examples: [['node remove trait web-1 CUSTOM_FAST_DISK', 'One of them']],
  async run({ api, output }, args) {
    const path = pathOf(args.required('node'));
    const traits = args.texts('trait');
    if ((args.flag('all') === true) === traits.length > 0) throw new UsageError('give the traits to remove, or --all');
    if (traits.length === 0) await api.request('DELETE', path);
    else await doEach(output, traits, (trait) => `removed trait ${trait}`, (trait) => api.request('DELETE', `${path}/${segment(trait)}`));
  },
};

export const traitCommands: readonly Command[] = [listTraits, addTrait, removeTrait];
