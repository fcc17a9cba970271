import { Table, type MigrationInterface, type QueryRunner } from 'typeorm';
import { schemaParts } from './schema-parts.ts';

/** The first schema. Tables are described, not written in SQL, so that each database gets its own dialect. */
export class Initial1763700000000 implements MigrationInterface {
  readonly name = 'Initial1763700000000';

  async up(runner: QueryRunner): Promise<void> {
    const { id, column, optional, unique, index, parent, time } = schemaParts(runner);

    await runner.createTable(
      new Table({
        name: 'nodes',
        columns: [
          id,
          ...column('text', 'uuid driver interfaces driver_info driver_internal_info properties instance_info extra network_data conductor_group provision_state clean_step deploy_step power_off_due'),
          ...optional('text', 'name instance_uuid resource_class owner lessee description protected_reason retired_reason target_provision_state power_state target_power_state last_error maintenance_reason fault'),
          ...optional('text', 'reservation boot_back power_state_before agent_token agent_url agent_verify_ca agent_version'),
          ...column('boolean', 'protected retired maintenance'),
          ...optional('boolean', 'automated_clean'),
          ...column('integer', 'boot_back_attempts'),
          ...column(time, 'created_at'),
          ...optional(time, 'updated_at provision_updated_at boot_back_next_at agent_last_heartbeat_at'),
        ],
        indices: [unique('nodes_uuid', 'uuid'), unique('nodes_name', 'name'), unique('nodes_instance_uuid', 'instance_uuid'), index('nodes_provision_state', 'provision_state')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'ports',
        columns: [
          id,
          ...column('integer', 'node_id'),
          ...column('text', 'uuid address local_link_connection extra internal_info'),
          ...optional('text', 'name physical_network'),
          ...column('boolean', 'pxe_enabled is_smartnic'),
          ...column(time, 'created_at'),
          ...optional(time, 'updated_at'),
        ],
        foreignKeys: [parent('ports_node', 'node_id', 'nodes')],
        indices: [unique('ports_uuid', 'uuid'), unique('ports_address', 'address'), unique('ports_name', 'name'), index('ports_node_id', 'node_id')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'snapshots',
        columns: [
          id,
          ...column('integer', 'node_id'),
          ...column('text', 'uuid phase status requested_by'),
          ...optional('text', 'error credential_hash command_id step'),
          ...optional('bigint', 'bytes_done bytes_total'),
          ...column(time, 'phase_started_at started_at'),
          ...optional(time, 'capture_deadline_at progress_at finished_at powered_off_at powered_on_at'),
        ],
        foreignKeys: [parent('snapshots_node', 'node_id', 'nodes')],
        indices: [unique('snapshots_uuid', 'uuid'), index('snapshots_node_id', 'node_id'), index('snapshots_status_phase', 'status', 'phase'), unique('snapshots_credential_hash', 'credential_hash')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'snapshot_disks',
        columns: [
          id,
          ...column('integer', 'snapshot_id position'),
          ...column('text', 'image_ref image_name formats_set'),
          ...optional('text', 'held_image_ref os_hash_algo os_hash_value device'),
          ...optional('bigint', 'size_bytes virtual_size_bytes'),
        ],
        foreignKeys: [parent('snapshot_disks_snapshot', 'snapshot_id', 'snapshots')],
        indices: [unique('snapshot_disks_position', 'snapshot_id', 'position'), unique('snapshot_disks_held_image_ref', 'held_image_ref')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'node_history',
        columns: [id, ...column('integer', 'node_id'), ...column('text', 'uuid conductor user event_type severity event'), ...column(time, 'created_at')],
        foreignKeys: [parent('node_history_node', 'node_id', 'nodes')],
        indices: [unique('node_history_uuid', 'uuid'), index('node_history_node_id', 'node_id')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'conductors',
        columns: [id, ...column('text', 'hostname conductor_group drivers'), ...column(time, 'created_at updated_at')],
        indices: [unique('conductors_hostname', 'hostname')],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'node_traits',
        columns: [id, ...column('integer', 'node_id'), ...column('text', 'trait')],
        foreignKeys: [parent('node_traits_node', 'node_id', 'nodes')],
        indices: [unique('node_traits_trait', 'node_id', 'trait')],
      }),
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['node_traits', 'conductors', 'node_history', 'snapshot_disks', 'snapshots', 'ports', 'nodes']) await runner.dropTable(table);
  }
}
