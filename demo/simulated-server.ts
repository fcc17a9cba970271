import { buildDisk } from './disk.ts';
import { SERVER, type DemoServer } from './server.ts';

const GIB = 1024 ** 3;

/** A machine with everything real but its metal: the agent is its operating system. It boots in a second. */
export const simulatedServer = ({ sizeBytes }: { sizeBytes: number }): DemoServer => ({
  description: 'a simulated server',
  buildDisk: (directory, signal) => buildDisk(directory, { sizeBytes, signal }),
  connect: () => Promise.resolve(null),
  conductorConfig: {
    // it asks and looks often
    conductor: { heartbeat_timeout_s: 5, check_interval_s: 1, callback_timeout_s: 120, soft_power_off_timeout_s: 30, power_timeout_s: 30 },
    snapshot: { poll_interval_s: 0.5 },
  },
  machine: (disk, { provisioning, certificateFile }) => ({
    id: SERVER.id,
    macs: [SERVER.mac],
    disks: [disk],
    memory_bytes: sizeBytes + 2 * GIB, // so that an image of any content fits; it is a limit, nothing is taken
    power: 'On',
    soft_off_ms: 300,
    agent: { api_url: provisioning, ca_file: certificateFile },
  }),
  nodeArguments: ['--boot-interface', 'fake', '--property', 'cpu_arch=x86_64'],
  bootMarker: null,
  patienceS: 60,
});
