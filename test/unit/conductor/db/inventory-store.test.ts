import { expect, test } from '@jest/globals';
import { openDatabase } from '../../../../conductor/db/database.ts';
import type { Inventory } from '../../../../protocol/inventory.ts';
import { newNode } from './node-of-tests.ts';

const inventory = (total: number): Inventory => ({
  disks: [],
  interfaces: [],
  cpu: { architecture: 'x86_64', count: 1, model_name: null },
  memory: { total },
  system_vendor: { manufacturer: null, product_name: null, serial_number: null },
  boot: { current_boot_mode: 'uefi' },
});

test('a node has the inventory that was found last, and takes it with it', async () => {
  const db = await openDatabase({ path: ':memory:' });
  try {
    const [node, other] = [await db.nodes.create(newNode()), await db.nodes.create(newNode())];
    expect(await db.inventories.ofNode(node.id)).toBeNull();
    await db.inventories.save(other.id, inventory(3));
    await db.inventories.save(node.id, inventory(1));
    const first = await db.inventories.ofNode(node.id);
    await db.inventories.save(node.id, inventory(2));
    const second = await db.inventories.ofNode(node.id);
    expect([first?.inventory, second?.inventory]).toEqual([inventory(1), inventory(2)]);
    expect(second?.id).toBe(first?.id);
    expect((await db.inventories.ofNode(other.id))?.inventory).toEqual(inventory(3));
    await db.nodes.delete(node.id);
    expect(await db.inventories.ofNode(node.id)).toBeNull();
  } finally {
    await db.close();
  }
});
