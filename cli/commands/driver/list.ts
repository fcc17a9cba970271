import type { JsonObject } from '../../../protocol/json.ts';
import type { Command } from '../../command.ts';
import { plainText } from '../../output.ts';
import { LISTING_OPTIONS, printListing } from '../listing.ts';

/** Lists of names as one text, and no links to the properties. */
export function presentDriver({ properties: _links, ...driver }: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(driver).map(([field, value]) => [field, Array.isArray(value) && field !== 'links' ? value.map(plainText).join(', ') : value]));
}

export const listDrivers: Command = {
  words: 'driver list',
  summary: 'List the enabled hardware types',
  options: { ...LISTING_OPTIONS, type: { kind: 'text', describe: 'Only those of this type', choices: ['classic', 'dynamic'] } },
  conflicts: [['long', 'fields']],
  examples: [['driver list', 'What --driver of `node create` can be']],
  async run(context, args) {
    await printListing(context, args, {
      path: '/v1/drivers',
      collection: 'drivers',
      defaultFields: ['name', 'hosts'],
      filters: { type: args.text('type') },
      labels: { name: 'Supported driver(s)' },
      present: presentDriver,
    });
  },
};
