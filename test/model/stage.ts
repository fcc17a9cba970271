import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CapturedDisk } from '../../protocol/agent-api.ts';
import { createHttpClient } from '../../protocol/http-client.ts';
import type { Image } from '../../protocol/image.ts';
import { createLogger } from '../../protocol/log.ts';
import { runProgram } from '../../protocol/program.ts';
import type { SimulatedMachine } from '../../simulator/machine.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { BaremetalApi } from '../rig/baremetal-api.ts';
import { ConductorProcess, type ConductorOptions } from '../rig/conductor-process.ts';
import { ScriptedAgent } from './scripted-agent.ts';

const ACCOUNT = { username: 'operator', password: 'correct horse' };
const DISK_BYTES = 1024 ** 2;
const macOf = (index: number): string => `52:54:00:4d:54:${index.toString(16).padStart(2, '0')}`;

/** A node of the conductor with the machine behind it and whoever speaks for its ramdisk. */
export interface Actor {
  readonly uuid: string;
  readonly machine: SimulatedMachine;
  readonly agent: ScriptedAgent;
}

/**
 * A conductor in its own process and simulated machines behind real BMCs. A network boot of such a machine ends nowhere:
 * for its ramdisk a scripted agent speaks, so that its calls come when a path wants them.
 */
export class ModelStage {
  /** What a BMC lets in. */
  readonly password = ACCOUNT.password;
  readonly api: BaremetalApi;
  readonly #directory: string;
  readonly conductor: ConductorProcess;
  readonly #rack: SimulatedRack;
  readonly #image: Buffer;
  readonly #agents: ScriptedAgent[] = [];

  private constructor(directory: string, conductor: ConductorProcess, rack: SimulatedRack, image: Buffer) {
    this.api = new BaremetalApi(conductor.apiUrl);
    this.#directory = directory;
    this.conductor = conductor;
    this.#rack = rack;
    this.#image = image;
  }

  static async start(machines: number, config: ConductorOptions['config'] = {}): Promise<ModelStage> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-model-'));
    let conductor: ConductorProcess | undefined;
    try {
      const file = join(directory, 'image.qcow2');
      await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', file, String(DISK_BYTES)], { timeoutMs: 20_000 });
      conductor = await ConductorProcess.start(directory, {
        // a wait that is to end by silence takes the callback timeout, a power-off that is refused the power timeout
        config: { ...config, conductor: { callback_timeout_s: 5, soft_power_off_timeout_s: 1, power_timeout_s: 4, ...config['conductor'] }, snapshot: { max_concurrent: machines, ...config['snapshot'] } },
      });
      const rack = await SimulatedRack.start(
        {
          redfish: ACCOUNT,
          run_directory: join(directory, 'machines'),
          machines: Array.from({ length: machines }, (_, index) => ({ id: `machine-${index}`, macs: [macOf(index)], disks: [], power: 'On' as const, agent: { api_url: 'https://nobody.invalid' }, faults: { pxe_hangs: true } })),
        },
        createLogger('simulator', 'silent'),
      );
      return new ModelStage(directory, conductor, rack, await readFile(file));
    } catch (error) {
      await conductor?.process.stop();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Enrols a machine: a new node of it, in `enroll`. */
  async enrol(index: number, fields: { boot_interface?: string; deploy_interface?: string; automated_clean?: boolean; disk?: Partial<CapturedDisk> } = {}): Promise<Actor> {
    const { disk, ...more } = fields;
    const machine = this.#rack.machine(`machine-${index}`);
    const node = await this.api.expect(201, 'POST', '/v1/nodes', {
      driver: 'redfish',
      boot_interface: 'fake',
      deploy_interface: 'fake',
      snapshot_interface: 'agent',
      ...more,
      driver_info: { redfish_address: this.#rack.url, redfish_system_id: `/redfish/v1/Systems/${machine.id}`, redfish_username: ACCOUNT.username, redfish_password: ACCOUNT.password },
    });
    const uuid = node['uuid'] as string;
    await this.api.expect(201, 'POST', '/v1/ports', { address: macOf(index), node_uuid: uuid });
    const agent = new ScriptedAgent({
      conductorUrl: this.conductor.provisioningUrl,
      conductorCa: await readFile(this.conductor.certificateFile, 'utf8'),
      address: macOf(index),
      directory: join(this.#directory, `agent-${index}`),
      image: { bytes: this.#image, virtualSizeBytes: DISK_BYTES },
      disk,
    });
    this.#agents.push(agent);
    return { uuid, machine, agent };
  }

  /** A precreated image that waits for data. @returns its id. */
  async createHolder(): Promise<string> {
    const reply = await this.#images.post<Image>('/v2/images', { name: 'holder' });
    if (reply.status !== 201) throw new Error(`image was not created: ${reply.status} ${JSON.stringify(reply.data)}`);
    return reply.data.id;
  }

  /** An image with these data. @returns its id. */
  async createImage(bytes: Buffer, diskFormat: 'raw' | 'qcow2'): Promise<string> {
    const { data, status } = await this.#images.post<Image>('/v2/images', { name: 'image', disk_format: diskFormat, container_format: 'bare' });
    const sent = await this.#images.put(`/v2/images/${data.id}/file`, bytes, { headers: { 'Content-Type': 'application/octet-stream' } });
    if (status !== 201 || sent.status !== 204) throw new Error(`image was not created: ${status}, ${sent.status} ${JSON.stringify(sent.data)}`);
    return data.id;
  }

  /** A qcow2 that becomes a disk of this size. @returns its id. */
  async createEmptyImage(virtualSizeBytes: number): Promise<string> {
    const file = join(this.#directory, 'empty.qcow2');
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', file, String(virtualSizeBytes)], { timeoutMs: 20_000 });
    return this.createImage(await readFile(file), 'qcow2');
  }

  async deleteImage(id: string): Promise<void> {
    await this.#images.delete(`/v2/images/${id}`);
  }

  async imageStatus(id: string): Promise<string> {
    return (await this.#images.get<Image>(`/v2/images/${id}`)).data.status;
  }

  async close(): Promise<void> {
    if (process.env['SHOW_CONDUCTOR_LOG']) process.stderr.write(this.conductor.process.text);
    const ends = await Promise.allSettled([this.conductor.process.stop(), this.#rack.close(), ...this.#agents.map((agent) => agent.close())]);
    await rm(this.#directory, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  get #images(): ReturnType<typeof createHttpClient> {
    return createHttpClient({ baseURL: this.conductor.imageUrl, timeoutMs: 30_000 });
  }
}
