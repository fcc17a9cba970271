import type { CaptureWorkspace } from '../capture/workspace.ts';
import type { DeployWorkspace } from '../deploy/deploy-workspace.ts';
import type { BlockDevices } from '../devices/block-device.ts';
import type { Hardware } from '../hardware/hardware.ts';

/** What extensions may use of the agent. */
export interface ExtensionPorts {
  devices: BlockDevices;
  hardware: Hardware;
  workspace: CaptureWorkspace;
  deployWorkspace: DeployWorkspace;
  /** Asked when a capture begins: memory changes. */
  cacheSizeBytes(): number;
}
