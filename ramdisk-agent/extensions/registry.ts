import type { Extension } from '../commands/command.ts';
import { createDeployExtension } from './deploy.ts';
import type { ExtensionPorts } from './extension-ports.ts';
import { createLogExtension } from './log.ts';
import { createSnapshotExtension } from './snapshot.ts';

/** All extensions by the name that stands before the dot of a command. */
export function createExtensions(ports: ExtensionPorts): Readonly<Record<string, Extension>> {
  return { snapshot: createSnapshotExtension(ports), deploy: createDeployExtension(ports), log: createLogExtension(ports) };
}
