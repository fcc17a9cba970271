import { TableColumn, type MigrationInterface, type QueryRunner } from 'typeorm';

/** By what an agent tells that its image is whole, which is not always the image's digest. */
export class ImageProof1764000000000 implements MigrationInterface {
  readonly name = 'ImageProof1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.addColumn('snapshot_disks', new TableColumn({ name: 'proof', type: 'text', isNullable: true }));
    // images that lie on the spool just now
    await runner.query(`UPDATE snapshot_disks SET proof = REPLACE('{"algo":"sha512","value":"HEX"}', 'HEX', os_hash_value) WHERE os_hash_value IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.dropColumn('snapshot_disks', 'proof');
  }
}
