import type { WriteImageParams, WriteImageProgress, WriteImageResult } from '../../protocol/deploy-commands.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { CommandContext } from '../commands/command.ts';
import { describeDevice, describeForResult, type BlockDevice, type BlockDevices } from '../devices/block-device.ts';
import type { Hardware } from '../hardware/hardware.ts';
import { collectInventory } from '../inventory.ts';
import type { ProgressClock } from '../progress-clock.ts';
import { moveBackupGpt } from './backup-gpt.ts';
import { provideBootEntry } from './boot-entry.ts';
import type { DeployWorkspace } from './deploy-workspace.ts';
import { generalizeDisk } from './generalize/generalize-disk.ts';
import { receiveImage } from './image-attempts.ts';
import type { ReceivedImage } from './image-writing.ts';
import { chooseTargetDisk, ensureNoForeignParts } from './target-disk.ts';
import { WrittenDisk } from './written-disk.ts';

const REREAD_TIMEOUT_MS = 30_000;

/** What a deployment needs of the agent. */
export interface DeploymentPorts {
  devices: BlockDevices;
  hardware: Hardware;
  deployWorkspace: DeployWorkspace;
}

/**
 * One `deploy.write_image`: 1. choose the disk  2. receive the image, the ends of the disk withheld  3. commit them, once the
 * digest has proven the whole  4. partition table to the disk's size  5. generalize  6. boot entry  7. inventory.
 * Whatever fails after the first write leaves a disk whose beginning and end are zeros: nothing boots from it.
 */
export class Deployment {
  readonly #params: WriteImageParams;
  readonly #context: CommandContext;
  readonly #ports: DeploymentPorts;
  readonly #clock: ProgressClock;
  #progress: WriteImageProgress = { phase: 'preparing', bytes_done: 0, bytes_total: 0, disk_touched: false };

  constructor(params: WriteImageParams, context: CommandContext, ports: DeploymentPorts, clock: ProgressClock) {
    this.#params = params;
    this.#context = context;
    this.#ports = ports;
    this.#clock = clock;
  }

  async run(): Promise<WriteImageResult> {
    const startedAt = performance.now();
    this.#context.rememberForFailure({ disk_touched: false });
    this.#report({ phase: 'preparing' });
    const device = await this.#chooseDisk();
    const written = await this.#leavingNothing(device, () => this.#write(device));
    return {
      disk: describeForResult(device),
      virtual_size_bytes: this.#params.virtual_size_bytes,
      ...written,
      duration_s: (performance.now() - startedAt) / 1_000,
    };
  }

  /** Everything that can be refused before the image is asked for. */
  async #chooseDisk(): Promise<BlockDevice> {
    const { device } = chooseTargetDisk(await this.#ports.devices.list(), this.#params);
    await this.#ports.deployWorkspace.ensureRecovered(device);
    const { virtual_size_bytes: imageBytes } = this.#params;
    if (imageBytes > device.sizeBytes) throw new OperationFailedError(`the image is of a disk of ${imageBytes} bytes, ${describeDevice(device)} has ${device.sizeBytes}: ${imageBytes - device.sizeBytes} too few. Deploy it to a larger disk.`, { device: device.name });
    if (imageBytes % device.sectorSizeBytes !== 0) throw new OperationFailedError(`the image is of a disk of ${imageBytes} bytes, which is no multiple of the ${device.sectorSizeBytes} bytes in a sector of ${describeDevice(device)}: it was made for sectors of another size. Deploy it to a disk with the same sector size.`, { device: device.name });
    await ensureNoForeignParts(device, this.#clock.signal);
    return device;
  }

  async #write(device: BlockDevice): Promise<Pick<WriteImageResult, 'bytes_written' | 'sha512' | 'backup_gpt' | 'boot_entry' | 'generalized' | 'inventory'>> {
    const { signal } = this.#clock;
    const image = await WrittenDisk.using(device, signal, (disk) => this.#receiveAndCommit(device, disk));
    const backupGpt = await moveBackupGpt(device, signal);
    const generalized = await this.#generalize(device);
    await WrittenDisk.using(device, signal, (disk) => disk.sync());
    await showPartitions(device, signal);
    const bootEntry = await provideBootEntry(device, this.#ports.hardware, this.#params.boot_label, signal);
    const inventory = await collectInventory(this.#ports.devices, this.#ports.hardware); // here, where a failure still wipes the disk
    return { bytes_written: image.bytesWritten, sha512: image.sha512, backup_gpt: backupGpt, boot_entry: bootEntry, generalized, inventory };
  }

  async #receiveAndCommit(device: BlockDevice, disk: WrittenDisk): Promise<ReceivedImage> {
    const { boot } = await this.#ports.hardware.facts();
    const image = await receiveImage(this.#params, disk, this.#clock, {
      virtualSizeBytes: this.#params.virtual_size_bytes,
      bootMode: boot.current_boot_mode,
      onTouch: () => this.#touch(device),
      onProgress: (bytesDone) => this.#report({ phase: 'writing', bytes_done: bytesDone, bytes_total: this.#params.virtual_size_bytes }),
    });
    this.#report({ phase: 'finishing' });
    await disk.commit(image);
    return image;
  }

  async #generalize(device: BlockDevice): Promise<WriteImageResult['generalized']> {
    const { generalize } = this.#params;
    if (!generalize) return null;
    this.#report({ phase: 'generalizing' });
    return generalizeDisk(device, generalize.hostname, this.#ports.deployWorkspace, this.#clock.signal);
  }

  /** The disk is about to change: told and stored before it does. */
  #touch(device: BlockDevice): void {
    if (this.#progress.disk_touched) return;
    this.#ports.deployWorkspace.recordDisk(device);
    this.#context.rememberForFailure({ disk_touched: true });
    this.#report({ disk_touched: true });
  }

  #report(change: Partial<WriteImageProgress>): void {
    this.#progress = { ...this.#progress, ...change };
    this.#context.report(this.#progress);
  }

  /** Does the work; on every path nothing stays mounted, and after a failure the ends of the touched disk are wiped. */
  async #leavingNothing<T>(device: BlockDevice, work: () => Promise<T>): Promise<T> {
    const { deployWorkspace } = this.#ports;
    const [outcome] = await Promise.allSettled([work()]);
    // what stopped it, rather than what that made fail
    const problems: unknown[] = outcome.status === 'fulfilled' ? [] : [this.#clock.signal.aborted ? this.#clock.signal.reason : outcome.reason];
    const noteProblem = (error: unknown): void => void problems.push(error);
    const settle = (): void => {
      if (problems.length === 0) deployWorkspace.forgetDisk(device);
    };
    await deployWorkspace.clear().then(settle).catch(noteProblem);
    if (problems.length > 0 && this.#progress.disk_touched) await deployWorkspace.wipe(device).catch(noteProblem);
    const [problem, ...ofCleaningUp] = problems;
    if (ofCleaningUp.length > 0) throw new OperationFailedError([messageOf(problem), ...ofCleaningUp.map((each) => `and cleaning up failed: ${messageOf(each)}`)].join('; '), {}, problem);
    if (problems.length > 0 || outcome.status === 'rejected') throw problem;
    return outcome.value;
  }
}

/** Lets the kernel see the new partitions. Nothing here needs them, and some devices (loop) have none: as well as it can. */
async function showPartitions(device: BlockDevice, signal: AbortSignal): Promise<void> {
  await runProgram('blockdev', ['--rereadpt', device.name], { timeoutMs: REREAD_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT, acceptedExitCodes: [0, 1] });
}
