import type { CaptureWorkspace } from '../capture/workspace.ts';
import type { DeployWorkspace } from '../deploy/deploy-workspace.ts';
import type { BlockDevices } from '../devices/block-device.ts';
import type { BootOrderKeeper } from '../hardware/boot-order.ts';
import type { Hardware } from '../hardware/hardware.ts';
import type { LogSource } from '../logs/log-source.ts';

/** What extensions may use of the agent. */
export interface ExtensionPorts {
  devices: BlockDevices;
  hardware: Hardware;
  workspace: CaptureWorkspace;
  deployWorkspace: DeployWorkspace;
  /** Null where the firmware has no boot order, or does not tell. */
  bootOrder: BootOrderKeeper | null;
  /** What there is to tell, and which values must not be told; asked anew each time, because a token comes later. */
  logs: { sources: readonly LogSource[]; secrets(): readonly string[] };
  /** Asked when a capture begins: memory changes. */
  cacheSizeBytes(): number;
}
