import type { Command } from '../command.ts';
import { printCompletion } from './completion.ts';
import { listConductors } from './conductor/list.ts';
import { showConductor } from './conductor/show.ts';
import { listDrivers } from './driver/list.ts';
import { listDriverProperties } from './driver/properties.ts';
import { showDriver } from './driver/show.ts';
import { createImage } from './image/create.ts';
import { deleteImages } from './image/delete.ts';
import { listImages } from './image/list.ts';
import { saveImage } from './image/save.ts';
import { showImage } from './image/show.ts';
import { bootDeviceCommands } from './node/boot-device.ts';
import { createNode } from './node/create.ts';
import { deleteNodes } from './node/delete.ts';
import { writingCommands } from './node/deploy.ts';
import { historyCommands } from './node/history.ts';
import { saveInventory } from './node/inventory.ts';
import { listNodes } from './node/list.ts';
import { setMaintenance, unsetMaintenance } from './node/maintenance.ts';
import { powerCommands } from './node/power.ts';
import { provisionCommands } from './node/provision.ts';
import { setNode } from './node/set.ts';
import { showNode } from './node/show.ts';
import { snapshotNode } from './node/snapshot.ts';
import { traitCommands } from './node/traits.ts';
import { unsetNode } from './node/unset.ts';
import { validateNode } from './node/validate.ts';
import { vifCommands } from './node/vifs.ts';
import { createPort } from './port/create.ts';
import { deletePorts } from './port/delete.ts';
import { listPorts } from './port/list.ts';
import { showPort } from './port/show.ts';
import { portGroupCommands, setPort, unsetPort, volumeCommands } from './records/kinds.ts';

const { manage, provide, adopt, undeploy, clean, abort } = provisionCommands;
const { deploy, rebuild, restore } = writingCommands;

/** Every command by what it is about, in the order of the help. */
export const COMMAND_GROUPS: readonly { title: string; commands: readonly Command[] }[] = [
  { title: 'Servers', commands: [createNode, listNodes, showNode, setNode, unsetNode, deleteNodes, validateNode, ...historyCommands, saveInventory] },
  { title: 'Snapshots, and what is made of them', commands: [snapshotNode, restore, deploy, rebuild] },
  { title: 'The life of a server', commands: [manage, provide, adopt, clean, undeploy, abort, setMaintenance, unsetMaintenance] },
  { title: 'Power and boot', commands: [...powerCommands, ...bootDeviceCommands] },
  { title: 'Traits and virtual interfaces', commands: [...traitCommands, ...vifCommands] },
  { title: 'Network ports', commands: [createPort, listPorts, showPort, setPort, unsetPort, deletePorts, ...portGroupCommands] },
  { title: 'Volumes', commands: volumeCommands },
  { title: 'Images', commands: [createImage, listImages, showImage, saveImage, deleteImages] },
  { title: 'The service', commands: [listDrivers, showDriver, listDriverProperties, listConductors, showConductor] },
  { title: 'The shell', commands: [printCompletion] },
];

export const COMMANDS: readonly Command[] = COMMAND_GROUPS.flatMap(({ commands }) => commands);

/** What stands beside words that need another one, in the help. */
export const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  'node power': 'Power of a node',
  'node maintenance': 'Maintenance of a node',
  'node history': 'What has happened to a node',
  'node trait': 'Traits of a node',
  'node add': 'Add traits',
  'node remove': 'Remove traits',
  'node boot': 'What a node boots from',
  'node boot device': 'What a node boots from',
  'node vif': 'Virtual interfaces of a node',
  'node inventory': 'What the agent found in a node',
  'port group': 'Bonds of ports',
  'volume connector': 'How a node reaches its volumes',
  'volume target': 'Volumes of a node',
  'driver property': 'Properties of a hardware type',
};
