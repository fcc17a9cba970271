import { EntitySchema } from 'typeorm';
import type { ConductorRow } from '../rows.ts';
import { id, json, text, time, type ColumnsOf } from './columns.ts';

export const ConductorEntity = new EntitySchema<ConductorRow>({
  name: 'conductor',
  tableName: 'conductors',
  columns: { id: id(), hostname: text(), conductorGroup: text(), drivers: json(), createdAt: time(), updatedAt: time() } satisfies ColumnsOf<ConductorRow>,
  indices: [{ name: 'conductors_hostname', columns: ['hostname'], unique: true }],
});
