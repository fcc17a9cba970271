import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';

const pathOf = (ident: string): string => `/v1/nodes/${segment(ident)}/history`;
const NEEDS = { minor: 78, feature: 'the history of a node' };
const FIELDS = ['uuid', 'created_at', 'severity', 'event'];
const LONG_FIELDS = ['uuid', 'created_at', 'severity', 'event_type', 'event', 'conductor', 'user'];
const LABELS = { event: 'Description of the event', event_type: 'Event Origin Type' };

const listHistory: Command = {
  words: 'node history list',
  summary: 'List what has happened to a node',
  positionals: [NODE_POSITIONAL],
  options: { long: { kind: 'flag', describe: 'With the kind of event, the conductor and the user' } },
  examples: [['node history list web-1 --long', 'Who did what']],
  async run({ api, output }, args) {
    const long = args.flag('long') === true;
    output.rows(await api.list(`${pathOf(args.required('node'))}${long ? '/detail' : ''}`, 'history', undefined, NEEDS), long ? LONG_FIELDS : FIELDS, LABELS);
  },
};

const getHistory: Command = {
  words: 'node history get',
  summary: 'Show an event of the history of a node',
  positionals: [NODE_POSITIONAL, { name: 'event', describe: 'UUID of the event' }],
  examples: [['node history get web-1 98a52daa-52df-4f95-8b11-b7147d18a953', 'By UUID']],
  async run({ api, output }, args) {
    output.record(await api.getObject(`${pathOf(args.required('node'))}/${segment(args.required('event'))}`, { needs: NEEDS }));
  },
};

export const historyCommands: readonly Command[] = [listHistory, getHistory];
