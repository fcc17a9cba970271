import { IsNull, type SelectQueryBuilder } from 'typeorm';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { Page } from './paging.ts';
import type { InterfaceKind, NodeRow } from './rows.ts';

/** A column, or the implementation of an interface. */
export type NodeSortKey = keyof NodeRow | `interfaces.${InterfaceKind}`;

/** Which nodes; a filter that is absent lets every node pass. */
export interface NodeQuery extends Page<NodeRow> {
  driver?: string;
  provisionState?: ProvisionState;
  instanceUuid?: string;
  /** Whether the node has an instance. */
  associated?: boolean;
  maintenance?: boolean;
  retired?: boolean;
  fault?: string;
  resourceClass?: string;
  conductorGroup?: string;
  owner?: string;
  lessee?: string;
  /** Owner or lessee. */
  project?: string;
  /** As `project`: the limit of what the caller may see, besides what he asks for. */
  visibleTo?: string;
  reservation?: string;
  descriptionContains?: string;
}

const EQUAL = ['driver', 'provisionState', 'maintenance', 'retired', 'fault', 'resourceClass', 'conductorGroup', 'owner', 'lessee', 'reservation'] as const;

/** Adds the conditions of `query` to a selection of nodes. */
export function filterNodes(nodes: SelectQueryBuilder<NodeRow>, query: NodeQuery): SelectQueryBuilder<NodeRow> {
  for (const property of EQUAL) {
    if (query[property] !== undefined) nodes.andWhere(`${nodes.alias}.${property} = :${property}`, { [property]: query[property] });
  }
  if (query.instanceUuid !== undefined) nodes.andWhere({ instanceUuid: query.instanceUuid.toLowerCase() });
  if (query.associated === true) nodes.andWhere(`${nodes.alias}.instanceUuid IS NOT NULL`);
  if (query.associated === false) nodes.andWhere({ instanceUuid: IsNull() });
  if (query.project !== undefined) nodes.andWhere([{ owner: query.project }, { lessee: query.project }]);
  onlyNodesOf(query.visibleTo)(nodes);
  if (query.descriptionContains !== undefined) {
    const pattern = query.descriptionContains.replace(/[\\%_]/g, '\\$&');
    nodes.andWhere(`${nodes.alias}.description LIKE :pattern ESCAPE '\\'`, { pattern: `%${pattern}%` });
  }
  return nodes;
}

/** Leaves of nodes those that the project owns or leases; undefined leaves all. */
export const onlyNodesOf =
  (project: string | undefined) =>
  (nodes: SelectQueryBuilder<NodeRow>): void => {
    if (project !== undefined) nodes.andWhere([{ owner: project }, { lessee: project }]);
  };
