import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { NodeEntity } from './entities/node-entity.ts';

/** Leaves of rows that belong to nodes (`nodeId`) those whose node the project owns or leases; undefined leaves all. */
export const onlyOfProject =
  <Row extends ObjectLiteral & { nodeId: number }>(project: string | undefined) =>
  (query: SelectQueryBuilder<Row>): void => {
    if (project === undefined) return;
    const nodes = query.subQuery().select('visible.id').from(NodeEntity, 'visible').where('visible.owner = :visibleTo OR visible.lessee = :visibleTo');
    query.andWhere(`${query.alias}.nodeId IN ${nodes.getQuery()}`, { visibleTo: project });
  };
