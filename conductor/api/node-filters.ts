import { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { isProvisionState } from '../../state-machine/provision-states.ts';
import type { NodeQuery } from '../db/node-store.ts';
import { requireVersion } from './microversion.ts';
import { booleanLike, uuidLike } from './request-documents.ts';

/** Ironic's, as far as anything here can fail so. */
const FAULTS = ['power failure', 'clean failure', 'rescue abort failure'] as const;

/** Filters of a list of nodes. */
export const nodeFilterQuery = {
  instance_uuid: uuidLike.optional(),
  associated: booleanLike.optional(),
  maintenance: booleanLike.optional(),
  retired: booleanLike.optional(),
  provision_state: z.string().optional(),
  driver: z.string().optional(),
  fault: z.enum(FAULTS, { error: `expected one of ${FAULTS.join(', ')}` }).optional(),
  resource_class: z.string().optional(),
  conductor_group: z.string().optional(),
  conductor: z.string().optional(),
  owner: z.string().optional(),
  lessee: z.string().optional(),
  project: z.string().optional(),
  description_contains: z.string().optional(),
  instance_name: z.string().optional(),
  chassis_uuid: uuidLike.optional(),
  shard: z.string().optional(),
  sharded: booleanLike.optional(),
  parent_node: z.string().optional(),
  include_children: booleanLike.optional(),
};
type Filters = z.output<z.ZodObject<typeof nodeFilterQuery>>;

/** Ironic's numbers; the others are as old as the list. */
const SINCE: Readonly<Partial<Record<keyof Filters, number>>> = {
  provision_state: 9,
  driver: 16,
  resource_class: 21,
  fault: 42,
  conductor_group: 46,
  conductor: 49,
  owner: 50,
  description_contains: 51,
  retired: 61,
  lessee: 65,
  shard: 82,
  sharded: 82,
  parent_node: 83,
  include_children: 83,
  instance_name: 104,
};

/**
 * What to ask the database; null when no node can pass (no node here has a chassis, a shard, a parent or an instance name).
 * @throws NotAcceptableError for a filter that is newer than the version; InvalidParameterError for an unknown state.
 */
export function nodeQueryOf(filters: Filters, minor: number, conductorName: string): NodeQuery | null {
  for (const name of Object.keys(filters) as (keyof Filters)[]) requireVersion(minor, SINCE[name] ?? 1, `Filter ${name}`);
  const { provision_state: state } = filters;
  if (state !== undefined && !isProvisionState(state)) throw new InvalidParameterError(`Provision state "${state}" is not valid`);
  const impossible = filters.chassis_uuid ?? filters.shard ?? filters.parent_node ?? filters.instance_name;
  if (impossible !== undefined || filters.sharded === true) return null;
  if (filters.conductor !== undefined && filters.conductor !== conductorName) return null;
  const query: NodeQuery = {
    instanceUuid: filters.instance_uuid,
    associated: filters.associated,
    maintenance: filters.maintenance,
    retired: filters.retired,
    provisionState: state,
    driver: filters.driver,
    fault: filters.fault,
    resourceClass: filters.resource_class,
    conductorGroup: filters.conductor_group,
    owner: filters.owner,
    lessee: filters.lessee,
    project: filters.project,
    descriptionContains: filters.description_contains,
  };
  return query;
}
