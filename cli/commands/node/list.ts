import { UsageError } from '../../exit-code.ts';
import type { Arguments } from '../../arguments.ts';
import type { Command } from '../../command.ts';
import { LISTING_OPTIONS, PAGING_OPTIONS, printListing } from '../listing.ts';

/** As the stock client writes booleans in a query. */
const truth = (flag: boolean | undefined): string | undefined => (flag === undefined ? undefined : flag ? 'True' : 'False');

function associatedFilter(args: Arguments): string | undefined {
  if (args.flag('associated') && args.flag('unassociated')) throw new UsageError('--associated and --unassociated exclude each other');
  return args.flag('unassociated') ? 'False' : truth(args.flag('associated'));
}

export const listNodes: Command = {
  words: 'node list',
  summary: 'List nodes',
  options: {
    ...LISTING_OPTIONS,
    ...PAGING_OPTIONS,
    'provision-state': { kind: 'text', describe: 'Only those in this provision state' },
    driver: { kind: 'text', describe: 'Only those of this driver', names: 'drivers' },
    'resource-class': { kind: 'text', describe: 'Only those of this resource class' },
    maintenance: { kind: 'flag', describe: 'Only those in maintenance (--no-maintenance: only the others)' },
    retired: { kind: 'flag', describe: 'Only retired ones (--no-retired: only the others)' },
    associated: { kind: 'flag', describe: 'Only those with an instance' },
    unassociated: { kind: 'flag', describe: 'Only those without an instance' },
    fault: { kind: 'text', describe: 'Only those with this fault' },
    chassis: { kind: 'text', describe: 'Only those of this chassis (UUID)' },
    'conductor-group': { kind: 'text', describe: 'Only those of this conductor group' },
    conductor: { kind: 'text', describe: 'Only those of this conductor' },
    owner: { kind: 'text', describe: 'Only those of this owner' },
    lessee: { kind: 'text', describe: 'Only those of this lessee' },
    'description-contains': { kind: 'text', describe: 'Only those whose description contains this' },
  },
  conflicts: [['long', 'fields']],
  examples: [
    ['node list --provision-state active --fields uuid name power_state', 'Some fields of the nodes in use'],
    ["node list -f json | jq -r '.[].Name'", 'For a script'],
  ],
  async run(context, args) {
    await printListing(context, args, {
      path: '/v1/nodes',
      detailPath: '/v1/nodes/detail',
      collection: 'nodes',
      defaultFields: ['uuid', 'name', 'instance_uuid', 'power_state', 'provision_state', 'maintenance'],
      filters: {
        associated: associatedFilter(args),
        maintenance: truth(args.flag('maintenance')),
        retired: truth(args.flag('retired')),
        fault: args.text('fault'),
        provision_state: args.text('provision-state'),
        driver: args.text('driver'),
        resource_class: args.text('resource-class'),
        chassis_uuid: args.text('chassis'),
        conductor_group: args.text('conductor-group'),
        conductor: args.text('conductor'),
        owner: args.text('owner'),
        lessee: args.text('lessee'),
        description_contains: args.text('description-contains'),
      },
    });
  },
};
