import type { RackConfigInput } from '../simulator/config.ts';
import type { Disk } from './disk.ts';

/** The node's name, and the machine's in the simulator. */
export const SERVER = { id: 'demo-server', mac: '52:54:00:de:30:01' } as const;

/** Where the server finds the conductor. */
export interface ConductorAddress {
  provisioning: string;
  /** Of the conductor's certificate, in PEM. */
  certificateFile: string;
}

/** The server that the demo takes a snapshot of: what differs between a simulated machine and a virtual one. */
export interface DemoServer {
  /** Continues "Metalshot: a snapshot of". */
  readonly description: string;
  buildDisk(directory: string, signal: AbortSignal): Promise<Disk>;
  /** Makes the network that it boots in. @returns how to take it away again; null: it needs none. */
  connect(): Promise<(() => Promise<void>) | null>;
  /** The conductor's configuration for such a server, section by section. */
  readonly conductorConfig: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  machine(disk: string, conductor: ConductorAddress): RackConfigInput['machines'][number];
  /** What `baremetal node create` is told besides the BMC's address. */
  readonly nodeArguments: readonly string[];
  /** What it writes on its serial port once it has booted from its own disk with every file whole; null: the simulated BMC knows what it runs from. */
  readonly bootMarker: string | null;
  /** Seconds for a boot, a shutdown, or the answer to a simple request. */
  readonly patienceS: number;
}
