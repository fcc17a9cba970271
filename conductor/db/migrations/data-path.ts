import { TableColumn, type MigrationInterface, type QueryRunner } from 'typeorm';

/** How a snapshot is captured: what was asked for, expected and found. */
export class DataPath1763900000000 implements MigrationInterface {
  readonly name = 'DataPath1763900000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.addColumn('snapshots', new TableColumn({ name: 'options', type: 'text', isNullable: false, default: "'{}'" }));
    for (const [table, name] of COLUMNS) await runner.addColumn(table, new TableColumn({ name, type: 'text', isNullable: true }));
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [table, name] of COLUMNS) await runner.dropColumn(table, name);
    await runner.dropColumn('snapshots', 'options');
  }
}

const COLUMNS = [
  ['snapshots', 'prediction'],
  ['snapshot_disks', 'report'],
  ['snapshot_disks', 'received_by'],
] as const;
