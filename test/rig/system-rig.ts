import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Disk } from '../../demo/disk.ts';
import type { SnapshotOptions } from '../../protocol/capture.ts';
import { createLogger } from '../../protocol/log.ts';
import type { SimulatedMachine } from '../../simulator/machine.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { systemPath } from '../../simulator/redfish/system-resource.ts';
import { BaremetalApi, type NodeView } from './baremetal-api.ts';
import { ConductorProcess, type ConductorOptions } from './conductor-process.ts';
import { freePort } from './free-port.ts';
import { convertToRaw, copyDisk, ImageFiles } from './image-files.ts';
import { closeProvisioningNetwork, openProvisioningNetwork, PROVISIONING } from './provisioning-network.ts';
import { RAMDISK_DIRECTORY, ramdiskFile } from './ramdisk-directory.ts';
import { LOOK_INTERVAL_MS, SerialConsole, STEP_TIMEOUT_MS } from './serial-console.ts';
import { diskSerial, IPMI_ACCOUNT, macOf, machineId, makeDisk, rackMachine, type SystemMachineOptions } from './system-machine.ts';
import { until } from './until.ts';

export interface SystemRigOptions extends ConductorOptions {
  machines: readonly SystemMachineOptions[];
}

const REDFISH = { username: 'operator', password: 'correct horse' };
const SHOWN_LOG_BYTES = 20_000;

/**
 * Everything that takes part in a snapshot of a machine that boots over the network: a conductor with DHCP, TFTP and boot
 * files in its own process, and virtual machines on a bridge, whose consoles are read. In the network namespace of the test
 * run, so one at a time.
 */
export class SystemRig {
  readonly directory: string;
  readonly conductor: ConductorProcess;
  readonly rack: SimulatedRack;
  readonly api: BaremetalApi;
  readonly images: ImageFiles;
  readonly disks: readonly Disk[];
  readonly #machines: readonly SystemMachineOptions[];

  private constructor(directory: string, conductor: ConductorProcess, rack: SimulatedRack, disks: readonly Disk[], machines: readonly SystemMachineOptions[]) {
    this.directory = directory;
    this.conductor = conductor;
    this.rack = rack;
    this.disks = disks;
    this.#machines = machines;
    this.api = new BaremetalApi(conductor.apiUrl);
    this.images = new ImageFiles(conductor.imageUrl);
  }

  /**
   * Runs `body` with a rig, and closes it on every path. Conductor's log and consoles are printed when it fails.
   * @throws what `body` throws.
   */
  static async with(options: SystemRigOptions, body: (rig: SystemRig) => Promise<void>): Promise<void> {
    const rig = await SystemRig.start(options);
    try {
      await body(rig);
    } catch (error) {
      process.stderr.write(rig.describe());
      throw error;
    } finally {
      await rig.close();
    }
  }

  static async start(options: SystemRigOptions): Promise<SystemRig> {
    ramdiskFile('manifest.json');
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const directory = await mkdtemp(join(tmpdir(), 'metalshot-system-'));
      undo.unshift(() => rm(directory, { recursive: true, force: true }));
      await openProvisioningNetwork();
      undo.unshift(closeProvisioningNetwork);
      const disks: Disk[] = [];
      for (const [index, machine] of options.machines.entries()) disks.push(await makeDisk(directory, index, machine));
      const conductor = await ConductorProcess.start(directory, { ...options, config: await conductorConfig(options.config) });
      undo.unshift(() => conductor.process.stop());
      const machines = options.machines.map((machine, index) => rackMachine(index, disks[index]!, machine));
      const rack = await SimulatedRack.start({ redfish: REDFISH, run_directory: join(directory, 'machines'), machines }, createLogger('simulator', 'silent'));
      return new SystemRig(directory, conductor, rack, disks, options.machines);
    } catch (error) {
      for (const step of undo) await step();
      throw error;
    }
  }

  machine(index = 0): SimulatedMachine {
    return this.rack.machine(machineId(index));
  }

  console(index = 0): SerialConsole {
    return new SerialConsole(this.machine(index));
  }

  /**
   * Waits until the node is in the state and nobody works on it, as long as a slow machine may take.
   * @param look is shown the node whenever it is looked at.
   * @throws Error with its last error at once when it has come to rest in another state that ends a failure.
   */
  settled(node: string, state: string, timeoutMs = STEP_TIMEOUT_MS, look: (view: NodeView) => void = () => undefined): Promise<NodeView> {
    let seen: NodeView | undefined;
    return until(
      `node ${node} is ${state} and unlocked`,
      async () => {
        seen = await this.api.node(node);
        look(seen);
        if (seen.reservation !== null) return null;
        if (seen.provision_state !== state && / failed$|^error$/.test(seen.provision_state)) throw new Error(`Node ${node} is ${seen.provision_state} instead of ${state}: ${seen.last_error}`);
        return seen.provision_state === state ? seen : null;
      },
      timeoutMs,
      () => seen && { provision_state: seen.provision_state, reservation: seen.reservation, power_state: seen.power_state, last_error: seen.last_error, snapshot: seen.driver_internal_info.snapshot },
      LOOK_INTERVAL_MS,
    );
  }

  /** The machine has a node that is active and runs from its own disk, whose marker it has shown. @returns its UUID. */
  async enrol(index = 0, driverInfo: Record<string, unknown> = {}): Promise<string> {
    const uuid = await this.enrolManageable(index, driverInfo);
    await this.api.demand(uuid, 'adopt');
    await this.settled(uuid, 'active');
    return uuid;
  }

  /** @param driverInfo over what leads to the machine's BMC. @returns the node's UUID. */
  async enrolManageable(index = 0, driverInfo: Record<string, unknown> = {}): Promise<string> {
    const uuid = await this.createNode(index, driverInfo);
    await this.api.demand(uuid, 'manage');
    await this.settled(uuid, 'manageable');
    return uuid;
  }

  /** The machine's node with its port, in state `enroll`. @returns its UUID. */
  async createNode(index = 0, driverInfo: Record<string, unknown> = {}): Promise<string> {
    const { bmc = 'redfish', boot = 'ipxe', firmware = 'bios' } = this.#machines[index] ?? {};
    const node = await this.api.expect(201, 'POST', '/v1/nodes', {
      driver: bmc,
      boot_interface: boot,
      name: `server-${index}`,
      driver_info: { ...this.driverInfo(index), ...driverInfo },
      properties: { cpu_arch: 'x86_64', capabilities: `boot_mode:${firmware}`, root_device: { serial: diskSerial(index) } }, // smaller than what is taken for a root disk unasked
    });
    const uuid = node['uuid'] as string;
    await this.api.expect(201, 'POST', '/v1/ports', { address: macOf(index), node_uuid: uuid });
    return uuid;
  }

  /** What leads to the machine's BMC, with its account. */
  driverInfo(index = 0): Record<string, unknown> {
    const ipmi = this.rack.ipmiBmcs.get(machineId(index));
    if (!ipmi) return { redfish_address: this.rack.url, redfish_system_id: systemPath(machineId(index)), redfish_username: REDFISH.username, redfish_password: REDFISH.password };
    return { ipmi_address: ipmi.address, ipmi_port: ipmi.port, ipmi_username: IPMI_ACCOUNT.username, ipmi_password: IPMI_ACCOUNT.password, ipmi_cipher_suite: 3 };
  }

  /** Asks for a snapshot into a new holder. @returns the holder's id. */
  async beginSnapshot(node: string, options: SnapshotOptions = {}): Promise<string> {
    const id = await this.images.createHolder();
    await this.api.demand(node, 'snapshot', { image_ref: id, ...options });
    return id;
  }

  /** Switches the machine off softly, as its administrator would. */
  async shutDown(index = 0): Promise<void> {
    await this.machine(index).reset('GracefulShutdown');
    await until(`${machineId(index)} is off`, () => this.machine(index).powerState === 'Off', STEP_TIMEOUT_MS, () => this.console(index).describe());
  }

  /** A copy of the machine's disk as it is now; the machine should be off. @returns its path. */
  async copyDisk(index = 0, name = `disk-${index}-before`): Promise<string> {
    const path = join(this.directory, name);
    await copyDisk(this.disks[index]!.path, path);
    return path;
  }

  /** What is in the image, as a raw disk. @returns its path. */
  async unpackImage(imageId: string): Promise<string> {
    const path = join(this.directory, `image-${imageId}`);
    await this.images.download(imageId, path);
    await convertToRaw(path, `${path}.raw`);
    await rm(path);
    return `${path}.raw`;
  }

  /** For a failed test: what every machine has shown, and the end of the conductor's log. */
  describe(): string {
    const consoles = this.#machines.map((_machine, index) => `=== console of ${machineId(index)} ===\n${this.console(index).describe().join('\n')}`);
    return [`=== conductor's log ===`, this.conductor.process.text.slice(-SHOWN_LOG_BYTES), ...consoles, ''].join('\n');
  }

  /** Ends everything; the conductor first, so that it sees no machine vanish. */
  async close(): Promise<void> {
    const ends = [() => this.conductor.process.stop(), () => this.rack.close(), closeProvisioningNetwork, () => rm(this.directory, { recursive: true, force: true })];
    const errors: unknown[] = [];
    for (const end of ends) await end().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, `The rig was not closed cleanly: ${errors.map(String).join('; ')}`);
  }
}

/** A conductor for slow machines; what a test gives goes over it, section by section. */
async function conductorConfig(given: ConductorOptions['config'] = {}): Promise<NonNullable<ConductorOptions['config']>> {
  const { address, bridge, firstLease, lastLease } = PROVISIONING;
  const defaults = {
    '': { enabled_hardware_types: ['redfish', 'ipmi'] },
    provisioning: { host: address },
    boot: { host: address, port: await freePort(), ramdisk_directory: RAMDISK_DIRECTORY, dhcp: { interface: bridge, range: [firstLease, lastLease] } },
    conductor: { heartbeat_timeout_s: 60, callback_timeout_s: 600, soft_power_off_timeout_s: 120, power_timeout_s: 120 },
    snapshot: { stall_timeout_s: 180, poll_interval_s: 1 },
    agent: { deploy_logs_collect: 'always' },
  };
  const sections = new Set([...Object.keys(defaults), ...Object.keys(given)]);
  return Object.fromEntries([...sections].map((name) => [name, { ...(defaults as Record<string, Record<string, unknown>>)[name], ...given[name] }]));
}
