import { PortgroupEntity } from './entities/portgroup-entity.ts';
import { NodeRecordStore } from './node-record-store.ts';
import type { PortgroupRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

/** Bonds of ports. Addresses are stored in lower case. */
export class PortgroupStore extends NodeRecordStore<PortgroupRow> {
  constructor(connection: SerialConnection) {
    super(connection, {
      entity: PortgroupEntity,
      noun: 'Portgroup',
      name: 'name',
      unique: [
        { columns: ['name'], words: ({ name }) => `A portgroup with name ${name} already exists.` },
        { columns: ['address'], words: ({ address }) => `A portgroup with MAC address ${address} already exists.` },
      ],
    });
  }
}
