import { expect, test } from '@jest/globals';
import { createDataSource } from '../../../../conductor/db/database.ts';
import { Initial1763700000000 } from '../../../../conductor/db/migrations/initial.ts';
import { NodeLife1763740000000 } from '../../../../conductor/db/migrations/node-life.ts';

test('a database of the first release keeps its rows, and its redfish nodes get the deploy interface that writes', async () => {
  const source = createDataSource(':memory:');
  await source.initialize();
  try {
    const runner = source.createQueryRunner();
    await new Initial1763700000000().up(runner);
    const node = async (id: number, driver: string): Promise<void> => {
      const columns = 'uuid driver interfaces driver_info driver_internal_info properties instance_info extra network_data conductor_group provision_state clean_step deploy_step power_off_due protected retired maintenance boot_back_attempts created_at';
      const values = [`uuid-${id}`, driver, '{"boot":"fake","deploy":"fake"}', '{}', '{}', '{}', '{}', '{}', '{}', '', 'active', '{}', '{}', 'none', 0, 0, 0, 0, '2026-11-21 00:00:00.000'];
      await runner.query(`INSERT INTO nodes (id, ${columns.split(' ').join(', ')}) VALUES (${id}, ${values.map(() => '?').join(', ')})`, values);
      await runner.query(`INSERT INTO ports (node_id, uuid, address, local_link_connection, extra, internal_info, pxe_enabled, is_smartnic, created_at) VALUES (?, ?, ?, '{}', '{}', '{}', 1, 0, '2026-11-21 00:00:00.000')`, [id, `port-${id}`, `52:54:00:00:00:0${id}`]);
    };
    await node(1, 'redfish');
    await node(2, 'fake-hardware');

    const migration = new NodeLife1763740000000();
    await runner.beforeMigration();
    await migration.up(runner);
    await runner.afterMigration();
    const deployInterfaces = (await runner.query('SELECT interfaces FROM nodes ORDER BY id')) as { interfaces: string }[];
    expect(deployInterfaces.map(({ interfaces }) => JSON.parse(interfaces) as unknown)).toEqual([
      { boot: 'fake', deploy: 'direct' },
      { boot: 'fake', deploy: 'fake' },
    ]);
    expect(await runner.query('SELECT node_id, address, portgroup_id FROM ports ORDER BY id')).toEqual([
      { node_id: 1, address: '52:54:00:00:00:01', portgroup_id: null },
      { node_id: 2, address: '52:54:00:00:00:02', portgroup_id: null },
    ]);
    expect(await runner.query('PRAGMA foreign_key_check')).toEqual([]);
  } finally {
    await source.destroy();
  }
});
