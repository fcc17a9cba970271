import type { CaptureWorkspace } from '../capture/workspace.ts';
import type { Extension } from '../commands/command.ts';
import type { BlockDevices } from '../devices/block-device.ts';
import { createSnapshotExtension } from './snapshot.ts';

/** What extensions may use of the agent. */
export interface ExtensionPorts {
  devices: BlockDevices;
  workspace: CaptureWorkspace;
  /** Asked when a capture begins: memory changes. */
  cacheSizeBytes(): number;
}

/** All extensions by the name that stands before the dot of a command. */
export function createExtensions(ports: ExtensionPorts): Readonly<Record<string, Extension>> {
  return { snapshot: createSnapshotExtension(ports) };
}
