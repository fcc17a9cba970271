import type { Command } from '../../command.ts';
import { LISTING_OPTIONS, PAGING_OPTIONS, printListing } from '../listing.ts';

export const listConductors: Command = {
  words: 'conductor list',
  summary: 'List the conductors',
  options: { ...LISTING_OPTIONS, ...PAGING_OPTIONS },
  conflicts: [['long', 'fields']],
  examples: [['conductor list --long', 'With their drivers']],
  async run(context, args) {
    await printListing(context, args, { path: '/v1/conductors', collection: 'conductors', defaultFields: ['hostname', 'conductor_group', 'alive'] });
  },
};
