import { Table, TableColumn, TableForeignKey, TableIndex, type MigrationInterface, type QueryRunner } from 'typeorm';
import { schemaParts } from './schema-parts.ts';

/** Deployments and cleanings by the ramdisk, inventories, port groups, volume records. */
export class NodeLife1763740000000 implements MigrationInterface {
  readonly name = 'NodeLife1763740000000';

  async up(runner: QueryRunner): Promise<void> {
    const { id, column, optional, unique, index, parent, time } = schemaParts(runner);
    await runner.createTable(
      new Table({
        name: 'operations',
        columns: [
          id,
          ...column('integer', 'node_id'),
          ...column('text', 'uuid kind phase status requested_by'),
          ...optional('text', 'error image generalize credential_hash command_id step device report'),
          ...optional('bigint', 'bytes_done bytes_total'),
          ...column('boolean', 'disk_touched'),
          ...column(time, 'phase_started_at started_at'),
          ...optional(time, 'deadline_at progress_at finished_at'),
        ],
        foreignKeys: [parent('operations_node', 'node_id', 'nodes')],
        indices: [unique('operations_uuid', 'uuid'), index('operations_node_id', 'node_id'), index('operations_status', 'status'), unique('operations_credential_hash', 'credential_hash')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'node_inventories',
        columns: [id, ...column('integer', 'node_id'), ...column('text', 'inventory'), ...column(time, 'created_at')],
        foreignKeys: [parent('node_inventories_node', 'node_id', 'nodes')],
        indices: [unique('node_inventories_node_id', 'node_id')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'portgroups',
        columns: [
          id,
          ...column('integer', 'node_id'),
          ...column('text', 'uuid mode properties extra internal_info'),
          ...optional('text', 'name address'),
          ...column('boolean', 'standalone_ports_supported'),
          ...column(time, 'created_at'),
          ...optional(time, 'updated_at'),
        ],
        foreignKeys: [parent('portgroups_node', 'node_id', 'nodes')],
        indices: [unique('portgroups_uuid', 'uuid'), unique('portgroups_name', 'name'), unique('portgroups_address', 'address'), index('portgroups_node_id', 'node_id')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'volume_connectors',
        columns: [id, ...column('integer', 'node_id'), ...column('text', 'uuid type connector_id extra'), ...column(time, 'created_at'), ...optional(time, 'updated_at')],
        foreignKeys: [parent('volume_connectors_node', 'node_id', 'nodes')],
        indices: [unique('volume_connectors_uuid', 'uuid'), unique('volume_connectors_type_id', 'type', 'connector_id'), index('volume_connectors_node_id', 'node_id')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'volume_targets',
        columns: [id, ...column('integer', 'node_id boot_index'), ...column('text', 'uuid volume_type volume_id properties extra'), ...column(time, 'created_at'), ...optional(time, 'updated_at')],
        foreignKeys: [parent('volume_targets_node', 'node_id', 'nodes')],
        indices: [unique('volume_targets_uuid', 'uuid'), unique('volume_targets_boot_index', 'node_id', 'boot_index')],
      }),
    );
    // before this there was no other deploy interface than `fake`, which writes nothing
    await runner.query(`UPDATE nodes SET interfaces = REPLACE(interfaces, '"deploy":"fake"', '"deploy":"direct"') WHERE driver = 'redfish'`);
    await runner.addColumn('ports', new TableColumn({ name: 'portgroup_id', type: 'integer', isNullable: true }));
    await runner.createForeignKey('ports', new TableForeignKey({ name: 'ports_portgroup', columnNames: ['portgroup_id'], referencedTableName: 'portgroups', referencedColumnNames: ['id'], onDelete: 'SET NULL' }));
    await runner.createIndex('ports', new TableIndex(index('ports_portgroup_id', 'portgroup_id')));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.dropIndex('ports', 'ports_portgroup_id');
    await runner.dropForeignKey('ports', 'ports_portgroup');
    await runner.dropColumn('ports', 'portgroup_id');
    for (const table of ['volume_targets', 'volume_connectors', 'portgroups', 'node_inventories', 'operations']) await runner.dropTable(table);
  }
}
