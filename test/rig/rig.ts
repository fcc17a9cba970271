import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildDisk, type Disk } from '../../demo/disk.ts';
import { createHttpClient } from '../../protocol/http-client.ts';
import type { Image } from '../../protocol/image.ts';
import { createLogger } from '../../protocol/log.ts';
import type { SimulatedMachine } from '../../simulator/machine.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { BaremetalApi } from './baremetal-api.ts';
import { buildBootableDisk } from './bootable-disk.ts';
import { ConductorProcess, type ConductorOptions } from './conductor-process.ts';
import { DIST } from './dist.ts';
import { makeUsedDisk } from './used-disk.ts';

export interface RigOptions extends ConductorOptions {
  machines?: number;
  /** How much of the demo's content is on the disks; 1 is a few hundred MB. */
  contentShare?: number;
  /** Of each disk; the default is the smallest that a root disk may be. */
  diskBytes?: number;
  /** The disks boot (and have an operating system's identity files). */
  bootable?: boolean;
  /** Further machines, with disks of these sizes that hold nothing but old data. */
  blankDisks?: readonly number[];
  /** Disks made before, to be used read-only by several rigs one after the other. */
  disks?: readonly Disk[];
  /** Over the agents' configuration. */
  agent?: Record<string, unknown>;
  /** Where the test itself asks the image service; default: where the conductor does. */
  imageUrl?: string;
  /** What the machines' operating systems take to shut down, in milliseconds. */
  softOffMs?: number;
  /** Memory of each machine; the default takes an image of the whole disk. */
  memoryBytes?: number;
}

export const GIB = 1024 ** 3;
export const REDFISH = { username: 'operator', password: 'correct horse' };
export const macOf = (index: number): string => `52:54:00:4d:53:${index.toString(16).padStart(2, '0')}`;

/**
 * Everything that takes part in a snapshot, for one test: a conductor in its own process, and simulated machines with
 * disks of their own, whose agents are real. Closed by the test, on every path.
 */
export class Rig {
  readonly directory: string;
  readonly conductor: ConductorProcess;
  readonly rack: SimulatedRack;
  readonly api: BaremetalApi;
  readonly disks: readonly Disk[];
  readonly #imageUrl: string;

  private constructor(directory: string, conductor: ConductorProcess, rack: SimulatedRack, disks: readonly Disk[], imageUrl: string) {
    this.#imageUrl = imageUrl;
    this.directory = directory;
    this.conductor = conductor;
    this.rack = rack;
    this.disks = disks;
    this.api = new BaremetalApi(conductor.apiUrl);
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-rig-'));
    const conductor = await ConductorProcess.start(directory, options).catch(async (error: unknown) => {
      await rm(directory, { recursive: true, force: true });
      throw error;
    });
    try {
      const disks: Disk[] = [...(options.disks ?? [])];
      for (let index = disks.length; index < (options.machines ?? 1); index += 1) {
        const place = join(directory, `disk-${index}`);
        await mkdir(place);
        disks.push(await (options.bootable ? buildBootableDisk : buildDisk)(place, { sizeBytes: options.diskBytes ?? 4 * GIB, share: options.contentShare ?? 0.1 }));
      }
      for (const sizeBytes of options.blankDisks ?? []) disks.push(await makeUsedDisk(join(directory, `disk-${disks.length}.img`), sizeBytes));
      const rack = await SimulatedRack.start(
        {
          redfish: REDFISH,
          run_directory: join(directory, 'machines'),
          agent_command: [process.execPath, join(DIST, 'ramdisk-agent/main.js')],
          machines: disks.map((disk, index) => ({
            id: `machine-${index}`,
            macs: [macOf(index)],
            disks: [disk.path],
            memory_bytes: options.memoryBytes ?? 2 * (options.diskBytes ?? 4 * GIB),
            power: 'On' as const,
            ...(options.softOffMs === undefined ? {} : { soft_off_ms: options.softOffMs }),
            agent: { api_url: conductor.provisioningUrl, ca_file: conductor.certificateFile, ...options.agent },
          })),
        },
        createLogger('simulator', 'silent'),
      );
      return new Rig(directory, conductor, rack, disks, options.imageUrl ?? conductor.imageUrl);
    } catch (error) {
      await conductor.process.stop();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  machine(index = 0): SimulatedMachine {
    return this.rack.machine(`machine-${index}`);
  }

  /** Enrols the machine as redfish hardware and adopts it: an active node that runs from its own disk. @returns its UUID. */
  async enrol(index = 0): Promise<string> {
    const uuid = await this.enrolManageable(index);
    await this.api.demand(uuid, 'adopt');
    await this.api.settled(uuid, 'active');
    return uuid;
  }

  /** Enrols the machine and makes it available: it is cleaned by the ramdisk on the way. @returns its UUID. */
  async enrolAvailable(index = 0): Promise<string> {
    const uuid = await this.enrolManageable(index);
    await this.api.demand(uuid, 'provide');
    await this.api.settled(uuid, 'available');
    return uuid;
  }

  /** Enrols the machine with its port and manages it. @returns its UUID. */
  async enrolManageable(index = 0): Promise<string> {
    const node = await this.api.expect(201, 'POST', '/v1/nodes', {
      driver: 'redfish',
      boot_interface: 'fake', // simulated machines bring their ramdisk along
      name: `server-${index}`,
      driver_info: { redfish_address: this.rack.url, redfish_system_id: `/redfish/v1/Systems/machine-${index}`, redfish_username: REDFISH.username, redfish_password: REDFISH.password },
    });
    const uuid = node['uuid'] as string;
    await this.api.expect(201, 'POST', '/v1/ports', { address: macOf(index), node_uuid: uuid });
    await this.api.demand(uuid, 'manage');
    await this.api.settled(uuid, 'manageable');
    return uuid;
  }

  /** A precreated image that waits for data. @returns its id. */
  async createHolder(fields: Record<string, unknown> = {}): Promise<string> {
    const reply = await this.#images.post<Image>('/v2/images', { name: 'holder', ...fields });
    if (reply.status !== 201) throw new Error(`image was not created: ${reply.status} ${JSON.stringify(reply.data)}`);
    return reply.data.id;
  }

  async image(id: string): Promise<Image> {
    return (await this.#images.get<Image>(`/v2/images/${id}`)).data;
  }

  async deleteImage(id: string): Promise<void> {
    await this.#images.delete(`/v2/images/${id}`);
  }

  /** Ends everything; the conductor first, so that it sees no machine vanish. */
  async close(): Promise<void> {
    if (process.env['SHOW_CONDUCTOR_LOG']) process.stderr.write(this.conductor.process.text);
    try {
      await this.conductor.process.stop();
    } finally {
      await this.rack.close();
      await rm(this.directory, { recursive: true, force: true });
    }
  }

  get #images(): ReturnType<typeof createHttpClient> {
    return createHttpClient({ baseURL: this.#imageUrl, timeoutMs: 30_000 });
  }
}
