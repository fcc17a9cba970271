import { expect, test } from '@jest/globals';
import { createDataSource } from '../../../../conductor/db/database.ts';
import { ImageProof1764000000000 } from '../../../../conductor/db/migrations/image-proof.ts';
import { MIGRATIONS } from '../../../../conductor/db/migrations/migrations.ts';

test('an image that lay on the spool when the conductor was upgraded is proven by the digest that was reported of it', async () => {
  const source = createDataSource(':memory:');
  await source.initialize();
  try {
    const runner = source.createQueryRunner();
    await runner.beforeMigration(); // no foreign keys: the rows stand alone
    for (const Migration of MIGRATIONS.slice(0, MIGRATIONS.indexOf(ImageProof1764000000000))) await new Migration().up(runner);
    const row = (position: number, digest: string | null): Promise<unknown> => runner.query('INSERT INTO snapshot_disks (snapshot_id, position, image_ref, image_name, formats_set, os_hash_value) VALUES (1, ?, ?, ?, ?, ?)', [position, 'ref', 'name', '[]', digest]);
    await row(0, 'ab12');
    await row(1, null);
    await new ImageProof1764000000000().up(runner);
    const proofs = (await runner.query('SELECT proof FROM snapshot_disks ORDER BY position')) as { proof: string | null }[];
    expect(proofs.map(({ proof }) => proof === null ? null : (JSON.parse(proof) as unknown))).toEqual([{ algo: 'sha512', value: 'ab12' }, null]);
  } finally {
    await source.destroy();
  }
});
