import { createHash } from 'node:crypto';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import type { WriteImageProgress } from '../../../protocol/deploy-commands.ts';
import { createLogger } from '../../../protocol/log.ts';
import { runProgram } from '../../../protocol/program.ts';
import { readMounts } from '../../../ramdisk-agent/capture/mounts.ts';
import { CaptureWorkspace } from '../../../ramdisk-agent/capture/workspace.ts';
import { CommandJournal } from '../../../ramdisk-agent/commands/command-journal.ts';
import { CommandQueue } from '../../../ramdisk-agent/commands/command-queue.ts';
import { DeployWorkspace } from '../../../ramdisk-agent/deploy/deploy-workspace.ts';
import { ExplicitDevices } from '../../../ramdisk-agent/devices/explicit-devices.ts';
import { createExtensions } from '../../../ramdisk-agent/extensions/registry.ts';
import { ConfiguredHardware, hardwareConfigSchema } from '../../../ramdisk-agent/hardware/configured-hardware.ts';
import type { Hardware } from '../../../ramdisk-agent/hardware/hardware.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';
import { until } from '../../rig/until.ts';
import { ACCOUNT, ImageServer } from './image-server.ts';

const MIB = 1024 ** 2;
const TIMEOUT_MS = 60_000;

export interface StageDisk {
  imagePath: string;
  device: string;
  serial: string;
  sizeBytes: number;
}

/** Real loop devices full of old data, a real https server, and the agent's commands as its API runs them. Closed by the test, on every path. */
export class DeployStage {
  readonly directory: string;
  readonly images: ImageServer;
  readonly disks: StageDisk[] = [];
  readonly runDirectory: RunDirectory;
  readonly workspace: DeployWorkspace;
  readonly progress: WriteImageProgress[] = [];
  bootMode: 'bios' | 'uefi' = 'bios';
  bootEntries: Hardware['bootEntries'] = null;
  /** What looking at the hardware fails with, by the number of the look within a command. */
  factsFailure: (call: number) => Error | null = () => null;
  #queue: CommandQueue | undefined;

  private constructor(directory: string, images: ImageServer) {
    this.directory = directory;
    this.images = images;
    this.runDirectory = new RunDirectory(join(directory, 'run'));
    this.workspace = new DeployWorkspace(this.runDirectory);
  }

  static async start(): Promise<DeployStage> {
    return new DeployStage(await mkdtemp(join(tmpdir(), 'metalshot-deploy-')), await ImageServer.start());
  }

  /** A disk without a zero anywhere, or what `prepare` makes of an empty one. */
  async addDisk(sizeBytes: number, { sectorSizeBytes = 512, prepare = fillWithGarbage }: { sectorSizeBytes?: number; prepare?: (path: string) => Promise<void> } = {}): Promise<StageDisk> {
    const imagePath = join(this.directory, `disk-${this.disks.length}.img`);
    await writeFile(imagePath, '');
    await runProgram('truncate', ['--size', String(sizeBytes), imagePath], { timeoutMs: TIMEOUT_MS });
    await prepare(imagePath);
    const { stdout } = await runProgram('losetup', ['--find', '--show', '--sector-size', String(sectorSizeBytes), imagePath], { timeoutMs: TIMEOUT_MS });
    const disk = { imagePath, device: stdout.trim(), serial: `SERIAL-${this.disks.length}`, sizeBytes };
    this.disks.push(disk);
    return disk;
  }

  get devices(): ExplicitDevices {
    return new ExplicitDevices(this.disks.map(({ device, serial }) => ({ path: device, serial, wwn: null, model: 'Test disk' })), 'virtio_blk');
  }

  /** Starts a command as the agent's API does; returns its id. */
  begin(name: string, params: Record<string, unknown>): string {
    const { boot_mode, ...rest } = hardwareConfigSchema.parse({ boot_mode: this.bootMode, interface_driver: 'virtio_net' });
    const configured = new ConfiguredHardware({ ...rest, boot_mode }, ['52:54:00:12:34:56']);
    let looks = 0;
    const facts: Hardware['facts'] = () => {
      looks += 1;
      const failure = this.factsFailure(looks);
      return failure ? Promise.reject(failure) : configured.facts();
    };
    const hardware: Hardware = { facts, bootEntries: this.bootEntries };
    const extensions = createExtensions({ devices: this.devices, hardware, workspace: new CaptureWorkspace(this.runDirectory), deployWorkspace: this.workspace, bootOrder: null, logs: { sources: [], secrets: () => [] }, cacheSizeBytes: () => 0 });
    this.#queue = new CommandQueue(extensions, new CommandJournal(this.runDirectory), createLogger('agent', 'silent'), () => undefined);
    return this.#queue.start({ name, params }).id;
  }

  beginWrite(virtualSizeBytes: number, params: Record<string, unknown> = {}): string {
    return this.begin('deploy.write_image', this.writeParams(virtualSizeBytes, params));
  }

  writeParams(virtualSizeBytes: number, params: Record<string, unknown> = {}): Record<string, unknown> {
    const target = 'recorded_disk' in params || 'root_device' in params ? {} : { recorded_disk: { serial: 'SERIAL-0', wwn: null, size_bytes: null } };
    return { url: this.images.url, ...ACCOUNT, ca: this.images.ca, virtual_size_bytes: virtualSizeBytes, attempts: 3, deadline_s: 120, stall_timeout_s: 30, ...target, ...params };
  }

  report(id: string): CommandReport {
    return this.#queue!.report(id);
  }

  ended(id: string): Promise<CommandReport> {
    return this.#queue!.waitForEnd(id);
  }

  /** As DELETE of the command does. */
  stop(id: string): Promise<void> {
    return this.#queue!.stop(id);
  }

  write(virtualSizeBytes: number, params: Record<string, unknown> = {}): Promise<CommandReport> {
    return this.ended(this.beginWrite(virtualSizeBytes, params));
  }

  /** Mounts and files of the agent, and loop devices over its disks. */
  async leftovers(): Promise<string[]> {
    const mounts = readMounts().filter(({ directory }) => directory.startsWith(this.directory)).map(({ directory }) => `mount ${directory}`);
    const files = (await readdir(this.runDirectory.path)).filter((name) => name !== 'commands.json');
    return [...mounts, ...files, ...(await this.#loopsOverDisks())];
  }

  async close(): Promise<void> {
    await this.#queue?.stopAll('the test is over');
    await this.images.close();
    await this.workspace.clear();
    // the kernel lets go of a vanishing loop device by itself, shortly after its mount
    await until('no loop device over the disks', async () => (await this.#loopsOverDisks()).length === 0);
    for (const { device } of this.disks) await runProgram('losetup', ['--detach', device], { timeoutMs: TIMEOUT_MS });
    await rm(this.directory, { recursive: true, force: true });
  }

  async #loopsOverDisks(): Promise<string[]> {
    const found = await Promise.all(this.disks.map(({ device }) => runProgram('losetup', ['--associated', device], { timeoutMs: TIMEOUT_MS })));
    return found.flatMap(({ stdout }) => stdout.split('\n').filter((line) => line !== ''));
  }
}

/** Old data everywhere. */
export async function fillWithGarbage(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const garbage = Buffer.alloc(MIB, 'data of an earlier owner ');
    for (let position = 0; position < size; position += MIB) await file.write(garbage, 0, Math.min(MIB, size - position), position);
  } finally {
    await file.close();
  }
}

/** Bytes of a file or device, from `start` to before `end`. */
export async function readRange(path: string, start: number, end: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(end - start);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
      if (bytesRead === 0) throw new Error(`${path} ends at ${start + done}, before ${end}`);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

export const digestRange = async (path: string, start: number, end: number): Promise<string> => createHash('sha256').update(await readRange(path, start, end)).digest('hex');

export async function writeAt(path: string, bytes: Buffer, position: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}
