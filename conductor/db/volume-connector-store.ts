import { VolumeConnectorEntity } from './entities/volume-entities.ts';
import { NodeRecordStore } from './node-record-store.ts';
import type { VolumeConnectorRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

/** Where nodes connect to volumes. */
export class VolumeConnectorStore extends NodeRecordStore<VolumeConnectorRow> {
  constructor(connection: SerialConnection) {
    super(connection, {
      entity: VolumeConnectorEntity,
      noun: 'Volume connector',
      unique: [{ columns: ['type', 'connectorId'], words: ({ type, connectorId }) => `A volume connector with type ${type} and connector ID ${connectorId} already exists.` }],
    });
  }
}
