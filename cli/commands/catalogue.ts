import type { Command } from '../command.ts';
import { listConductors } from './conductor/list.ts';
import { showConductor } from './conductor/show.ts';
import { listDrivers } from './driver/list.ts';
import { showDriver } from './driver/show.ts';
import { createImage } from './image/create.ts';
import { deleteImages } from './image/delete.ts';
import { listImages } from './image/list.ts';
import { saveImage } from './image/save.ts';
import { showImage } from './image/show.ts';
import { createNode } from './node/create.ts';
import { deleteNodes } from './node/delete.ts';
import { listNodes } from './node/list.ts';
import { setMaintenance, unsetMaintenance } from './node/maintenance.ts';
import { powerCommands } from './node/power.ts';
import { provisionCommands } from './node/provision.ts';
import { setNode } from './node/set.ts';
import { showNode } from './node/show.ts';
import { snapshotNode } from './node/snapshot.ts';
import { unsetNode } from './node/unset.ts';
import { validateNode } from './node/validate.ts';
import { createPort } from './port/create.ts';
import { deletePorts } from './port/delete.ts';
import { listPorts } from './port/list.ts';
import { showPort } from './port/show.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  createNode,
  listNodes,
  showNode,
  setNode,
  unsetNode,
  deleteNodes,
  validateNode,
  ...provisionCommands,
  snapshotNode,
  ...powerCommands,
  setMaintenance,
  unsetMaintenance,
  createPort,
  listPorts,
  showPort,
  deletePorts,
  createImage,
  listImages,
  showImage,
  saveImage,
  deleteImages,
  listDrivers,
  showDriver,
  listConductors,
  showConductor,
];

/** What stands beside the first words in the help. */
export const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  node: 'Servers: register, provision, snapshot',
  'node power': 'Power of a node',
  'node maintenance': 'Maintenance of a node',
  port: 'Network ports of nodes',
  image: 'Images: holders for snapshots and their data',
  driver: 'Hardware types',
  conductor: 'Conductors',
};
