import type { EntityManager, EntitySchema, FindOptionsWhere, ObjectLiteral } from 'typeorm';

/*
 * insert and update, typed by the row itself. TypeORM's own parameter type (QueryDeepPartialEntity) unfolds JSON
 * columns without end, so it is kept out by looking at the entity as one of unknown columns: here only.
 */

export async function insertRow<Row extends ObjectLiteral>(manager: EntityManager, entity: EntitySchema<Row>, row: Partial<NoInfer<Row>>): Promise<void> {
  await manager.insert<ObjectLiteral>(entity, row);
}

/** Returns how many rows were changed. */
export async function updateRows<Row extends ObjectLiteral>(manager: EntityManager, entity: EntitySchema<Row>, where: FindOptionsWhere<NoInfer<Row>>, patch: Partial<NoInfer<Row>>): Promise<number> {
  const { affected } = await manager.update<ObjectLiteral>(entity, where, patch);
  if (affected === undefined) throw new Error(`the database did not tell how many rows of ${entity.options.name} were changed: the lock depends on it`);
  return affected;
}
