import { VolumeTargetEntity } from './entities/volume-entities.ts';
import { NodeRecordStore } from './node-record-store.ts';
import type { VolumeTargetRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

/** Volumes of nodes. */
export class VolumeTargetStore extends NodeRecordStore<VolumeTargetRow> {
  constructor(connection: SerialConnection) {
    super(connection, {
      entity: VolumeTargetEntity,
      noun: 'Volume target',
      unique: [{ columns: ['nodeId', 'bootIndex'], words: ({ bootIndex }) => `A volume target with boot index '${bootIndex}' for the same node already exists.` }],
    });
  }
}
