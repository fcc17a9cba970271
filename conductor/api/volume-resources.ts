import { z } from 'zod';
import { InvalidStateError } from '../../protocol/errors.ts';
import type { NodeRow, VolumeConnectorRow, VolumeTargetRow } from '../db/rows.ts';
import type { NodeRecord } from '../db/node-record-store.ts';
import type { RecordField, RecordResource } from './record-resource.ts';
import { jsonObject, uuidLike } from './request-documents.ts';
import { maskSecrets } from './secrets.ts';
import { formatTime, formatTimeOrNull } from './timestamps.ts';
import { integer, nullable, object, text, time, uuid } from './value-schemas.ts';

export const VOLUME_MICROVERSION = 32;
const since = VOLUME_MICROVERSION;

const word = z.string().min(1).max(255);
const ownership = { uuid: uuidLike.nullish(), node_uuid: uuidLike };
const connectorDocument = z.strictObject({ ...ownership, type: word, connector_id: word, extra: jsonObject.nullish() });
const targetDocument = z.strictObject({ ...ownership, volume_type: word, volume_id: word, boot_index: z.int32(), properties: jsonObject.nullish(), extra: jsonObject.nullish() });

const identity: readonly RecordField<NodeRecord>[] = [
  { name: 'uuid', since, schema: uuid, show: (row) => row.uuid, sortKey: 'uuid' },
  { name: 'created_at', since, schema: time, show: (row) => formatTime(row.createdAt), sortKey: 'createdAt' },
  { name: 'updated_at', since, schema: nullable(time), show: (row) => formatTimeOrNull(row.updatedAt), sortKey: 'updatedAt' },
  { name: 'node_uuid', since, schema: uuid, show: (_row, nodeUuid) => nodeUuid },
];

/** Ironic's rule: what a server that runs has in use stays as it is. */
const refuseUnlessOff = (noun: string) => async (action: string, node: NodeRow): Promise<void> => {
  if (node.powerState !== 'power off') throw new InvalidStateError(`${noun} ${action}`, node.uuid, node.powerState ?? 'None');
};

const shared = { since, sinceBelowNode: since, detailSince: since, named: false, parts: [], initial: {} };

/** `/v1/volume/connectors`: where a node connects to volumes, as records. */
export const VOLUME_CONNECTORS: RecordResource<VolumeConnectorRow, z.output<typeof connectorDocument>> = {
  ...shared,
  path: 'volume/connectors',
  collection: 'connectors',
  noun: 'Volume connector',
  fields: [
    ...identity,
    { name: 'connector_id', since, schema: text, show: (row) => row.connectorId, sortKey: 'connectorId' },
    { name: 'extra', since, schema: object, show: (row) => row.extra },
    { name: 'type', since, schema: text, show: (row) => row.type, sortKey: 'type' },
  ],
  defaultFields: ['uuid', 'node_uuid', 'type', 'connector_id'],
  document: connectorDocument,
  patched: connectorDocument,
  patchable: ['connector_id', 'extra', 'node_uuid', 'type'],
  store: (db) => db.volumeConnectors,
  documentOf: (row, nodeUuid) => ({ node_uuid: nodeUuid, type: row.type, connector_id: row.connectorId, extra: row.extra }),
  columnsOf: (document) => ({ type: document.type, connectorId: document.connector_id, extra: document.extra ?? {} }),
  refuse: refuseUnlessOff('volume connector'),
};

/** `/v1/volume/targets`: volumes of a node, as records. */
export const VOLUME_TARGETS: RecordResource<VolumeTargetRow, z.output<typeof targetDocument>> = {
  ...shared,
  path: 'volume/targets',
  collection: 'targets',
  noun: 'Volume target',
  fields: [
    ...identity,
    { name: 'boot_index', since, schema: integer, show: (row) => row.bootIndex, sortKey: 'bootIndex' },
    { name: 'extra', since, schema: object, show: (row) => row.extra },
    { name: 'properties', since, schema: object, show: (row) => maskSecrets(row.properties) },
    { name: 'volume_id', since, schema: text, show: (row) => row.volumeId, sortKey: 'volumeId' },
    { name: 'volume_type', since, schema: text, show: (row) => row.volumeType, sortKey: 'volumeType' },
  ],
  defaultFields: ['uuid', 'node_uuid', 'volume_type', 'boot_index', 'volume_id'],
  document: targetDocument,
  patched: targetDocument,
  patchable: ['boot_index', 'extra', 'node_uuid', 'properties', 'volume_id', 'volume_type'],
  store: (db) => db.volumeTargets,
  documentOf: (row, nodeUuid) => ({ node_uuid: nodeUuid, volume_type: row.volumeType, volume_id: row.volumeId, boot_index: row.bootIndex, properties: row.properties, extra: row.extra }),
  columnsOf: (document) => ({ volumeType: document.volume_type, volumeId: document.volume_id, bootIndex: document.boot_index, properties: document.properties ?? {}, extra: document.extra ?? {} }),
  refuse: refuseUnlessOff('volume target'),
};
