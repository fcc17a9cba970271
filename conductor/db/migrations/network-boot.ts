import { TableColumn, type MigrationInterface, type QueryRunner } from 'typeorm';

/** Boots into the ramdisk over the network: who gets it, what it has to prove, and what the BMC was set to before. */
export class NetworkBoot1763800000000 implements MigrationInterface {
  readonly name = 'NetworkBoot1763800000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const name of COLUMNS) await runner.addColumn('nodes', new TableColumn({ name, type: 'text', isNullable: true }));
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of COLUMNS) await runner.dropColumn('nodes', name);
  }
}

const COLUMNS = ['ramdisk_boot', 'boot_nonce_hash', 'boot_device_before'];
