import type { Command } from '../../command.ts';
import { LISTING_OPTIONS, PAGING_OPTIONS, printListing } from '../listing.ts';

export const listPorts: Command = {
  words: 'port list',
  summary: 'List network ports',
  options: {
    ...LISTING_OPTIONS,
    ...PAGING_OPTIONS,
    node: { kind: 'text', describe: 'Only those of this node (name or UUID)', names: 'nodes' },
    address: { kind: 'text', describe: 'Only the one with this MAC address' },
    'port-group': { kind: 'text', describe: 'Only those of this port group' },
  },
  conflicts: [['long', 'fields']],
  examples: [['port list --node web-1', 'The ports of one node']],
  async run(context, args) {
    await printListing(context, args, {
      path: '/v1/ports',
      detailPath: '/v1/ports/detail',
      collection: 'ports',
      defaultFields: ['uuid', 'address'],
      filters: { address: args.text('address'), node: args.text('node'), portgroup: args.text('port-group') },
    });
  },
};
