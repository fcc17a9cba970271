import type { CaptureWorkspace } from '../capture/workspace.ts';
import type { BlockDevices } from '../devices/block-device.ts';

/** What extensions may use of the agent. */
export interface ExtensionPorts {
  devices: BlockDevices;
  workspace: CaptureWorkspace;
  /** Asked when a capture begins: memory changes. */
  cacheSizeBytes(): number;
}
