import type { Json } from '../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../protocol/microversion.ts';
import type { InterfaceKind, NodeRow, SnapshotRow } from '../db/rows.ts';
import type { VersionedField } from './field-selection.ts';
import { maskInstanceInfo, maskSecrets } from './secrets.ts';
import { viewSnapshot } from './snapshot-view.ts';
import { formatTimeOrNull } from './timestamps.ts';

/** What a node's reply needs besides its row. */
export interface NodeSurroundings {
  conductorName: string;
  traits: readonly string[];
  snapshot: SnapshotRow | undefined;
  minor: number;
}

export interface NodeField extends VersionedField {
  show(node: NodeRow, around: NodeSurroundings): Json;
  /** Column that lists can be sorted by. */
  readonly sortKey?: keyof NodeRow;
}

type ValueColumn = { [Column in keyof NodeRow]: NodeRow[Column] extends Json ? Column : never }[keyof NodeRow];
type TimeColumn = { [Column in keyof NodeRow]: NodeRow[Column] extends Date | null ? Column : never }[keyof NodeRow];

const value = (name: string, since: number, column: ValueColumn): NodeField => ({ name, since, show: (node) => node[column], sortKey: column });
const json = (name: string, since: number, show: NodeField['show']): NodeField => ({ name, since, show });
const time = (name: string, since: number, column: TimeColumn): NodeField => ({ name, since, show: (node) => formatTimeOrNull(node[column]), sortKey: column });
const implementation = (kind: InterfaceKind, since: number): NodeField => ({ name: `${kind}_interface`, since, show: (node) => node.interfaces[kind] });
/** A field of Ironic for something that this conductor does not have. */
const always = (name: string, since: number, shown: Json): NodeField => ({ name, since, show: () => shown });

/** Every field of a node, with Ironic's numbers of the version it appeared in; `snapshot_interface` is ours. */
export const NODE_FIELDS: readonly NodeField[] = [
  value('uuid', 1, 'uuid'),
  time('created_at', 1, 'createdAt'),
  time('updated_at', 1, 'updatedAt'),
  value('automated_clean', 47, 'automatedClean'),
  implementation('bios', 40),
  implementation('boot', 31),
  always('boot_mode', 75, null),
  json('clean_step', 7, (node) => node.cleanStep),
  value('conductor_group', 46, 'conductorGroup'),
  always('console_enabled', 1, false),
  implementation('console', 31),
  implementation('deploy', 31),
  json('deploy_step', 44, (node) => node.deployStep),
  value('description', 51, 'description'),
  always('disable_power_off', 95, false),
  value('driver', 1, 'driver'),
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
  value('instance_uuid', 1, 'instanceUuid'),
  value('last_error', 1, 'lastError'),
  value('lessee', 65, 'lessee'),
  value('maintenance', 1, 'maintenance'),
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
  value('protected', 48, 'protected'),
  value('protected_reason', 48, 'protectedReason'),
  // before 1.2 an available node had no state
  { name: 'provision_state', since: 1, show: (node, { minor }) => (minor < 2 && node.provisionState === 'available' ? null : node.provisionState), sortKey: 'provisionState' },
  time('provision_updated_at', 1, 'provisionUpdatedAt'),
  always('raid_config', 12, {}),
  implementation('raid', 31),
  implementation('rescue', 38),
  value('reservation', 1, 'reservation'),
  value('resource_class', 21, 'resourceClass'),
  value('retired', 61, 'retired'),
  value('retired_reason', 61, 'retiredReason'),
  always('secure_boot', 75, null),
  always('service_step', 87, {}),
  always('shard', 82, null),
  implementation('snapshot', SNAPSHOT_MICROVERSION),
  implementation('storage', 33),
  value('target_power_state', 1, 'targetPowerState'),
  value('target_provision_state', 1, 'targetProvisionState'),
  always('target_raid_config', 12, {}),
  json('traits', 37, (_node, { traits }) => [...traits]),
  implementation('vendor', 31),
  json('conductor', 49, (_node, { conductorName }) => conductorName),
  always('allocation_uuid', 52, null),
  always('chassis_uuid', 1, null),
];

/** What a list shows of a node when nothing else is asked for. */
export const NODE_DEFAULT_FIELDS = ['uuid', 'instance_uuid', 'maintenance', 'power_state', 'provision_state', 'name'];

export const NODE_SORT_KEYS: Readonly<Record<string, keyof NodeRow>> = { id: 'id', ...Object.fromEntries(NODE_FIELDS.flatMap(({ name, sortKey }) => (sortKey ? [[name, sortKey]] : []))) };

/** `GET /v1/nodes/{}/states`. */
export const NODE_STATES_FIELDS = ['console_enabled', 'last_error', 'power_state', 'provision_state', 'target_power_state', 'target_provision_state', 'provision_updated_at', 'raid_config', 'target_raid_config', 'boot_mode', 'secure_boot'];

/** The agent's address and the latest snapshot; never its token. */
function showDriverInternalInfo(node: NodeRow, { snapshot }: NodeSurroundings): Json {
  return {
    ...maskSecrets(node.driverInternalInfo),
    ...(node.agentUrl === null ? {} : { agent_url: node.agentUrl }),
    ...(node.agentVersion === null ? {} : { agent_version: node.agentVersion }),
    ...(node.agentLastHeartbeatAt === null ? {} : { agent_last_heartbeat: formatTimeOrNull(node.agentLastHeartbeatAt) }),
    ...(snapshot ? { snapshot: { ...viewSnapshot(snapshot, node.bootBack) } } : {}),
  };
}
