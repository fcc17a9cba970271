import type { Json } from '../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../protocol/microversion.ts';
import type { NodeSortKey } from '../db/node-query.ts';
import type { InterfaceKind, NodeRow, OperationRow, SnapshotRow } from '../db/rows.ts';
import type { VersionedField } from './field-selection.ts';
import { viewOperation } from './operation-view.ts';
import { maskInstanceInfo, maskSecrets } from './secrets.ts';
import { viewSnapshot } from './snapshot-view.ts';
import { formatTimeOrNull } from './timestamps.ts';
import { arrayOf, flag, nothing, nullable, object, text, time as timeSchema, uuid, type ValueSchema } from './value-schemas.ts';

/** What a node's reply needs besides its row. */
export interface NodeSurroundings {
  conductorName: string;
  traits: readonly string[];
  snapshot: SnapshotRow | undefined;
  operation: OperationRow | undefined;
  minor: number;
}

export interface NodeField extends VersionedField {
  show(node: NodeRow, around: NodeSurroundings): Json;
  /** Column that lists can be sorted by. */
  readonly sortKey?: NodeSortKey;
  /** What `show` reads of the row; undefined: it may be anything. */
  readonly columns?: readonly (keyof NodeRow)[];
}

type ValueColumn = { [Column in keyof NodeRow]: NodeRow[Column] extends Json ? Column : never }[keyof NodeRow];
type TimeColumn = { [Column in keyof NodeRow]: NodeRow[Column] extends Date | null ? Column : never }[keyof NodeRow];

const value = (name: string, since: number, column: ValueColumn, schema: ValueSchema = nullable(text)): NodeField => ({ name, since, schema, show: (node) => node[column], sortKey: column, columns: [column] });
const json = (name: string, since: number, show: NodeField['show'], schema: ValueSchema = object): NodeField => ({ name, since, schema, show });
const time = (name: string, since: number, column: TimeColumn): NodeField => ({ name, since, schema: nullable(timeSchema), show: (node) => formatTimeOrNull(node[column]), sortKey: column, columns: [column] });
const implementation = (kind: InterfaceKind, since: number): NodeField => ({ name: `${kind}_interface`, since, schema: text, show: (node) => node.interfaces[kind], sortKey: `interfaces.${kind}`, columns: ['interfaces'] });
/** A field of Ironic for something that this conductor does not have. Lists sorted by one that has a plain value keep their order. */
const always = (name: string, since: number, shown: Json): NodeField => ({ name, since, schema: schemaOf(shown), show: () => shown, columns: [], ...(typeof shown === 'object' && shown !== null ? {} : { sortKey: 'id' as const }) });
const schemaOf = (shown: Json): ValueSchema => (shown === null ? nothing : typeof shown === 'object' ? object : { type: typeof shown, const: shown });

/** Every field of a node, with Ironic's numbers of the version it appeared in; `snapshot_interface` is ours. */
export const NODE_FIELDS: readonly NodeField[] = [
  value('uuid', 1, 'uuid', uuid),
  time('created_at', 1, 'createdAt'),
  time('updated_at', 1, 'updatedAt'),
  value('automated_clean', 47, 'automatedClean', nullable(flag)),
  implementation('bios', 40),
  implementation('boot', 31),
  always('boot_mode', 75, null),
  json('clean_step', 7, (node) => node.cleanStep),
  value('conductor_group', 46, 'conductorGroup', text),
  always('console_enabled', 1, false),
  implementation('console', 31),
  implementation('deploy', 31),
  json('deploy_step', 44, (node) => node.deployStep),
  value('description', 51, 'description'),
  always('disable_power_off', 95, false),
  value('driver', 1, 'driver', text),
  json('driver_info', 1, (node) => maskSecrets(node.driverInfo)),
  json('driver_internal_info', 3, showDriverInternalInfo),
  json('extra', 1, (node) => node.extra),
  value('fault', 42, 'fault'),
  always('firmware_interface', 86, 'no-firmware'),
  always('health', 109, null),
  always('inspection_finished_at', 6, null),
  always('inspection_started_at', 6, null),
  implementation('inspect', 31),
  json('instance_info', 1, (node) => maskInstanceInfo(node.instanceInfo)),
  always('instance_name', 104, null),
  value('instance_uuid', 1, 'instanceUuid', nullable(uuid)),
  value('last_error', 1, 'lastError'),
  value('lessee', 65, 'lessee'),
  value('maintenance', 1, 'maintenance', flag),
  value('maintenance_reason', 1, 'maintenanceReason'),
  implementation('management', 31),
  value('name', 5, 'name'),
  json('network_data', 66, (node) => node.networkData),
  implementation('network', 20),
  value('owner', 50, 'owner'),
  always('parent_node', 83, null),
  implementation('power', 31),
  value('power_state', 1, 'powerState'),
  json('properties', 1, (node) => node.properties),
  value('protected', 48, 'protected', flag),
  value('protected_reason', 48, 'protectedReason'),
  // before 1.2 an available node had no state
  { name: 'provision_state', since: 1, schema: nullable(text), show: (node, { minor }) => (minor < 2 && node.provisionState === 'available' ? null : node.provisionState), sortKey: 'provisionState', columns: ['provisionState'] },
  time('provision_updated_at', 1, 'provisionUpdatedAt'),
  always('raid_config', 12, {}),
  implementation('raid', 31),
  implementation('rescue', 38),
  value('reservation', 1, 'reservation'),
  value('resource_class', 21, 'resourceClass'),
  value('retired', 61, 'retired', flag),
  value('retired_reason', 61, 'retiredReason'),
  always('secure_boot', 75, null),
  always('service_step', 87, {}),
  always('shard', 82, null),
  implementation('snapshot', SNAPSHOT_MICROVERSION),
  implementation('storage', 33),
  value('target_power_state', 1, 'targetPowerState'),
  value('target_provision_state', 1, 'targetProvisionState'),
  always('target_raid_config', 12, {}),
  json('traits', 37, (_node, { traits }) => [...traits], arrayOf(text)),
  implementation('vendor', 31),
  json('conductor', 49, (_node, { conductorName }) => conductorName, nullable(text)),
  json('allocation_uuid', 52, () => null, nothing),
  json('chassis_uuid', 1, () => null, nothing),
];

/** What every reply needs of a row: its links, what belongs to it, and who may see it. */
const ALWAYS_READ: readonly (keyof NodeRow)[] = ['id', 'uuid', 'owner', 'lessee'];

/** The columns to read for these fields; undefined: all of them. */
export function columnsFor(fields: readonly NodeField[]): (keyof NodeRow)[] | undefined {
  const columns = fields.map((field) => field.columns);
  return columns.includes(undefined) ? undefined : [...new Set([...ALWAYS_READ, ...columns.flatMap((some) => some ?? [])])];
}

/** What a list shows of a node when nothing else is asked for. */
export const NODE_DEFAULT_FIELDS = ['uuid', 'instance_uuid', 'maintenance', 'power_state', 'provision_state', 'name'];

export const NODE_SORT_KEYS: Readonly<Record<string, NodeSortKey>> = { id: 'id', ...Object.fromEntries(NODE_FIELDS.flatMap(({ name, sortKey }) => (sortKey ? [[name, sortKey]] : []))) };

/** `GET /v1/nodes/{}/states`. */
export const NODE_STATES_FIELDS = ['console_enabled', 'last_error', 'power_state', 'provision_state', 'target_power_state', 'target_provision_state', 'provision_updated_at', 'raid_config', 'target_raid_config', 'boot_mode', 'secure_boot'];

/** The agent's address, the latest snapshot and the latest operation; never its token. */
function showDriverInternalInfo(node: NodeRow, { snapshot, operation }: NodeSurroundings): Json {
  return {
    ...maskSecrets(node.driverInternalInfo),
    ...(node.agentUrl === null ? {} : { agent_url: node.agentUrl }),
    ...(node.agentVersion === null ? {} : { agent_version: node.agentVersion }),
    ...(node.agentLastHeartbeatAt === null ? {} : { agent_last_heartbeat: formatTimeOrNull(node.agentLastHeartbeatAt) }),
    ...(snapshot ? { snapshot: { ...viewSnapshot(snapshot, node.bootBack) } } : {}),
    ...(operation ? { operation: { ...viewOperation(operation) } as unknown as Json } : {}),
  };
}
