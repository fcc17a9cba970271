import { mkdirSync, rmSync, rmdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { findMount, unmount } from '../capture/mounts.ts';
import { describeDevice, type BlockDevice, type BlockDevices } from '../devices/block-device.ts';
import type { RunDirectory } from '../run-directory.ts';
import { WrittenDisk } from './written-disk.ts';

const RECORDS = 'written-disks.json';
const recordSchema = z.object({ name: z.string(), sizeBytes: z.number(), serial: z.string().nullable(), wwn: z.string().nullable() });
type DiskIdentity = z.infer<typeof recordSchema>;

/**
 * What a deployment mounts and stores, and which disks are not whole, in one place: one function removes it on
 * every path, another when an agent starts that finds what a killed one left behind.
 */
export class DeployWorkspace {
  /** Where a file system of the written disk is mounted. */
  readonly mountDirectory: string;
  /** For new keys on their way. */
  readonly scratchDirectory: string;
  readonly #root: string;
  readonly #runDirectory: RunDirectory;

  constructor(runDirectory: RunDirectory) {
    this.#runDirectory = runDirectory;
    this.#root = runDirectory.pathOf('deploy');
    this.mountDirectory = `${this.#root}/root`;
    this.scratchDirectory = `${this.#root}/scratch`;
  }

  create(): void {
    for (const directory of [this.#root, this.mountDirectory, this.scratchDirectory]) mkdirSync(directory, { mode: 0o700 });
  }

  /** Remembers, before the first write, that this disk must not boot unless `forgetDisk` is called. */
  recordDisk(device: BlockDevice): void {
    this.#writeRecords([...this.#otherRecords(device), identityOf(device)]);
  }

  /** The disk is whole, or its ends are wiped. */
  forgetDisk(device: BlockDevice): void {
    this.#writeRecords(this.#otherRecords(device));
  }

  /** Unmounts and removes; nothing there: fine. Returns what was mounted. @throws OperationFailedError naming what would not go. */
  async clear(): Promise<string[]> {
    const mount = findMount(this.mountDirectory);
    // the loop device goes with its mount (autoclear)
    await unmount(this.mountDirectory, { force: true });
    rmSync(this.scratchDirectory, { recursive: true, force: true });
    for (const directory of [this.mountDirectory, this.#root]) {
      try {
        rmdirSync(directory); // never a recursive removal: it must not reach into a mount
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new OperationFailedError(`cannot remove ${directory}: ${(error as Error).message}`, { directory }, error);
      }
    }
    return mount ? [`${mount.type} on ${mount.directory}`] : [];
  }

  /**
   * After a killed agent: clears, and wipes the ends of each disk that it was writing. Returns what it found; a disk that
   * cannot be wiped stays recorded.
   */
  async recover(devices: BlockDevices): Promise<{ found: string[]; problems: string[] }> {
    const found = await this.clear();
    const problems: string[] = [];
    const records = this.#readRecords();
    const present = records.length > 0 ? await devices.list() : [];
    for (const record of records) {
      const device = present.find((each) => isDeepStrictEqual(identityOf(each), record));
      if (!device) {
        this.#writeRecords(this.#otherRecords(record));
        found.push(`a record of ${record.name}, which is not there any more`);
        continue;
      }
      try {
        await this.wipe(device);
        found.push(`${record.name}, half-written: its beginning and end are wiped`);
      } catch (error) {
        problems.push(`${record.name}, half-written, cannot be wiped: ${messageOf(error)}`);
      }
    }
    return { found, problems };
  }

  /** Before a disk is used again. @throws OperationFailedError when what an earlier deployment has left can still not be cleared or wiped. */
  async ensureRecovered(device: BlockDevice): Promise<void> {
    await this.clear();
    if (!this.#readRecords().some((record) => isDeepStrictEqual(record, identityOf(device)))) return;
    await this.wipe(device).catch((error: unknown) => {
      throw new OperationFailedError(`an earlier deployment has left ${describeDevice(device)} half-written, and its beginning and end can not be wiped: ${messageOf(error)}`, { device: device.name }, error);
    });
  }

  /** Wipes the ends of a disk and forgets it. Not by the signal of a command, which may be what has ended it. */
  async wipe(device: BlockDevice): Promise<void> {
    await WrittenDisk.using(device, new AbortController().signal, (disk) => disk.wipeEnds());
    this.forgetDisk(device);
  }

  #otherRecords(device: DiskIdentity): DiskIdentity[] {
    return this.#readRecords().filter((record) => !isDeepStrictEqual(record, identityOf(device)));
  }

  #readRecords(): DiskIdentity[] {
    const text = this.#runDirectory.read(RECORDS);
    return text === null ? [] : z.array(recordSchema).parse(JSON.parse(text));
  }

  #writeRecords(records: readonly DiskIdentity[]): void {
    if (records.length > 0) this.#runDirectory.write(RECORDS, JSON.stringify(records));
    else this.#runDirectory.remove(RECORDS);
  }
}

const identityOf = ({ name, sizeBytes, serial, wwn }: DiskIdentity): DiskIdentity => ({ name, sizeBytes, serial, wwn });
