import type { Command } from '../../command.ts';
import { recordCommands, setCommand, unsetCommand } from './record-commands.ts';
import type { FieldSpec, PatchableKind, RecordKind } from './record-kind.ts';

const UUID = '23f41881-359d-420a-a216-752b2833404c';
const NODE: FieldSpec = { kind: 'node', field: 'node_uuid', option: 'node', describe: 'UUID or name of the node', required: true };
const EXTRA: FieldSpec = { kind: 'members', field: 'extra', option: 'extra', describe: 'KEY=VALUE of your own' };
const BY_NODE = { node: { query: 'node', describe: 'Only those of this node (name or UUID)' } };

const CONNECTORS: RecordKind = {
  words: 'volume connector',
  noun: 'volume connector',
  identDescribe: 'UUID of the volume connector',
  path: '/v1/volume/connectors',
  collection: 'connectors',
  defaultFields: ['uuid', 'node_uuid', 'type', 'connector_id'],
  fields: [
    NODE,
    { kind: 'text', field: 'type', option: 'type', describe: 'What its id is', choices: ['iqn', 'ip', 'mac', 'wwnn', 'wwpn', 'port', 'portgroup'], required: true },
    { kind: 'text', field: 'connector_id', option: 'connector-id', describe: 'Id of that type, for example the iSCSI initiator name of the node', required: true },
    EXTRA,
  ],
  filters: BY_NODE,
  examples: {
    create: ['volume connector create --node web-1 --type iqn --connector-id iqn.2026-01.org.example:web-1', 'The initiator name of a node'],
    list: ['volume connector list --node web-1', 'Those of one node'],
    show: [`volume connector show ${UUID}`, 'By UUID'],
    set: [`volume connector set ${UUID} --connector-id iqn.2026-01.org.example:other`, 'Another initiator name'],
    unset: [`volume connector unset ${UUID} --extra rack`, 'A member of extra'],
    delete: [`volume connector delete ${UUID}`, 'By UUID'],
  },
};

const TARGETS: RecordKind = {
  words: 'volume target',
  noun: 'volume target',
  identDescribe: 'UUID of the volume target',
  path: '/v1/volume/targets',
  collection: 'targets',
  defaultFields: ['uuid', 'node_uuid', 'volume_type', 'boot_index', 'volume_id'],
  labels: { volume_type: 'Driver Volume Type' },
  fields: [
    NODE,
    { kind: 'text', field: 'volume_type', option: 'type', describe: 'Type of the volume, such as iscsi or fibre_channel', required: true },
    { kind: 'integer', field: 'boot_index', option: 'boot-index', describe: 'Place in the boot order; 0 is booted from', required: true },
    { kind: 'text', field: 'volume_id', option: 'volume-id', describe: 'Id of the volume', required: true },
    { kind: 'members', field: 'properties', option: 'property', describe: 'KEY=VALUE that this type of volume needs' },
    EXTRA,
  ],
  filters: BY_NODE,
  examples: {
    create: ['volume target create --node web-1 --type iscsi --boot-index 0 --volume-id vol-1 --property target_portal=10.0.0.9:3260', 'A volume to boot from'],
    list: ['volume target list --node web-1 --long', 'Those of one node, with all details'],
    show: [`volume target show ${UUID}`, 'By UUID'],
    set: [`volume target set ${UUID} --boot-index 1`, 'Another place in the boot order'],
    unset: [`volume target unset ${UUID} --property target_lun`, 'A property'],
    delete: [`volume target delete ${UUID}`, 'By UUID'],
  },
};

const PORT_GROUPS: RecordKind = {
  words: 'port group',
  noun: 'port group',
  identDescribe: 'Name or UUID of the port group',
  path: '/v1/portgroups',
  collection: 'portgroups',
  detailPath: '/v1/portgroups/detail',
  defaultFields: ['uuid', 'address', 'name'],
  hasAddress: true,
  fields: [
    NODE,
    { kind: 'text', field: 'address', option: 'address', describe: 'MAC address of the group', unsettable: true },
    { kind: 'text', field: 'name', option: 'name', describe: 'Unique name', unsettable: true },
    { kind: 'truth', field: 'standalone_ports_supported', on: 'support-standalone-ports', off: 'unsupport-standalone-ports', describe: 'Its ports can be used by themselves (default)', describeOff: 'Its ports cannot be used by themselves' },
    { kind: 'text', field: 'mode', option: 'mode', describe: 'Bonding mode, such as active-backup or 802.3ad' },
    EXTRA,
    { kind: 'members', field: 'properties', option: 'property', describe: 'KEY=VALUE of the bonding driver' },
  ],
  filters: { ...BY_NODE, address: { query: 'address', describe: 'Only the one with this MAC address' } },
  examples: {
    create: ['port group create --node web-1 --name web-1-bond --mode 802.3ad --property miimon=100', 'A bond by LACP'],
    list: ['port group list --node web-1', 'Those of one node'],
    show: ['port group show web-1-bond', 'By name'],
    set: ['port group set web-1-bond --mode active-backup', 'Another mode'],
    unset: ['port group unset web-1-bond --property miimon', 'A property'],
    delete: ['port group delete web-1-bond', 'By name'],
  },
};

/** Ports have create, list, show and delete of their own. */
const PORTS: PatchableKind = {
  words: 'port',
  noun: 'port',
  identDescribe: 'UUID of the port',
  path: '/v1/ports',
  fields: [
    NODE,
    { kind: 'text', field: 'address', option: 'address', describe: 'MAC address' },
    EXTRA,
    { kind: 'text', field: 'portgroup_uuid', option: 'port-group', describe: 'UUID of its port group', unsettable: true },
    { kind: 'members', field: 'local_link_connection', option: 'local-link-connection', describe: 'KEY=VALUE of the switch port: switch_id, port_id, switch_info' },
    { kind: 'truth', field: 'pxe_enabled', on: 'pxe-enabled', off: 'pxe-disabled', describe: 'The node boots from the network by this port', describeOff: 'The node does not boot from the network by this port' },
    { kind: 'text', field: 'physical_network', option: 'physical-network', describe: 'Physical network that it is connected to', unsettable: true },
    { kind: 'truth', field: 'is_smartnic', on: 'is-smartnic', describe: 'It is a Smart NIC port', unsettable: true, unsetTo: false },
  ],
  examples: {
    set: [`port set ${UUID} --pxe-disabled --physical-network storage`, 'A port that is not booted from'],
    unset: [`port unset ${UUID} --port-group`, 'Out of its port group'],
  },
};

export const volumeCommands: readonly Command[] = [...recordCommands(CONNECTORS), ...recordCommands(TARGETS)];
export const portGroupCommands: readonly Command[] = recordCommands(PORT_GROUPS);
export const setPort: Command = setCommand(PORTS);
export const unsetPort: Command = unsetCommand(PORTS);
