import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { streamImageParamsSchema, type StreamImageProgress } from '../../../protocol/agent-api.ts';
import type { CapturePrediction } from '../../../protocol/capture.ts';
import { captureByStream, type CapturedImage } from '../../../ramdisk-agent/capture/stream-capture.ts';
import { ProgressClock } from '../../../ramdisk-agent/progress-clock.ts';
import { describeWhere } from '../../machine-needs.ts';
import { ServedShare } from '../../unit/webdav/served-share.ts';
import { digestsOf, makeDisk, mounted, run } from './extent-map/test-disk.ts';
import { proofOf } from '../../rig/proof-of.ts';
import { LoopDisk } from './loop-disk.ts';

jest.setTimeout(120_000);

const MIB = 1024 ** 2;
const DISK_BYTES = 192 * MIB;
const PARTITION = { offsetBytes: MIB, sizeBytes: 180 * MIB };
const TABLE = `label: gpt\nstart=${PARTITION.offsetBytes / 512}, size=${PARTITION.sizeBytes / 512}\n`;
/** Without what is zeros and counts as used (journal, tables to grow into, inodes for many files): the files decide how many zeros there are. */
const FEW_ZEROS_OF_ITS_OWN = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-N', '64', '-O', '^has_journal,^resize_inode'];
const RANDOM_MIB = 24;
/** A sample of the disk is read before all else. */
const SAMPLE_BYTES = 16 * MIB;
/** Besides the files: tables, directories, parts of clusters. */
const SLACK_BYTES = 2 * MIB;

describeWhere(['root', 'loop'], 'a disk whose file system has', () => {
  let directory: string;
  let path: string;
  let served: ServedShare;
  let disk: LoopDisk | undefined;
  let clock: ProgressClock | undefined;
  let live: Record<string, string>;
  /** What was looked at for zeros: the last word of every scan. */
  let scans: number[];
  /** Lengths of the image that were expected while zeros were looked for. */
  let expectedBytes: number[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-zeros-'));
    path = await makeDisk(join(directory, 'disk.img'), DISK_BYTES, TABLE);
    served = await ServedShare.start();
    [scans, expectedBytes] = [[], []];
  });
  afterEach(async () => {
    clock?.release();
    await disk?.detach();
    [clock, disk] = [undefined, undefined];
    await served.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** Files that are written in full: `zerosMib` of zeros between random ones. */
  async function fill(zerosMib: number): Promise<void> {
    await run('mke2fs', ...FEW_ZEROS_OF_ITS_OWN, '-E', `offset=${PARTITION.offsetBytes},lazy_itable_init=0`, path, `${PARTITION.sizeBytes / MIB}M`);
    await mounted(path, PARTITION, async (root) => {
      const write = async (name: string, mib: number, make: (sizeBytes: number) => Buffer): Promise<void> => {
        const file = await open(join(root, name), 'w');
        try {
          for (let done = 0; done < mib; done += 1) await file.write(make(MIB));
          await file.sync();
        } finally {
          await file.close();
        }
      };
      await write('random-one', RANDOM_MIB / 2, randomBytes);
      await write('zeros', zerosMib, Buffer.alloc);
      await write('random-two', RANDOM_MIB / 2, randomBytes);
    });
    live = await mounted(path, PARTITION, digestsOf, { readOnly: true });
    expect(Object.keys(live)).toEqual(['/random-one', '/random-two', '/zeros']);
  }

  async function capture(): Promise<CapturedImage & { path: string }> {
    disk = await LoopDisk.attach(path);
    const guest = await served.invite();
    clock = new ProgressClock('the capture', new AbortController().signal, 100, 60);
    const params = streamImageParamsSchema.parse({ username: guest.username, password: guest.password, url: guest.url, image_name: 'disk.qcow2', disk_format: 'qcow2', method: 'stream', compression: 'none', attempts: 1, deadline_s: 100, stall_timeout_s: 60 });
    const device = { name: disk.device, sizeBytes: DISK_BYTES, sectorSizeBytes: 512, rotational: false, model: null, vendor: null, serial: null, wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null };
    const progress = (phase: StreamImageProgress['phase'], bytesDone: number, bytesTotal: number, prediction?: CapturePrediction): void => {
      clock?.moved();
      if (phase === 'scanning' && prediction) expectedBytes.push(prediction.image_bytes);
      if (phase === 'scanning' && bytesDone >= bytesTotal - MIB) scans.push(bytesTotal); // the disk's last cluster may be a part of one
    };
    const captured = await captureByStream({ device, params, clock, progress });
    const received = await served.share.received(guest.uuid, 'disk.qcow2');
    expect(received).toMatchObject({ sizeBytes: captured.sizeBytes, proof: captured.proof.value });
    expect(await proofOf(received!.path, captured.proof)).toEqual(captured.proof);
    return { ...captured, path: received!.path };
  }

  /** QEMU finds nothing wrong with the image, and its file system is whole, with all its files. */
  async function expectRestored(image: string): Promise<void> {
    await run('qemu-img', 'check', '-q', '-f', 'qcow2', image);
    const raw = join(directory, 'restored.img');
    await run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', image, raw);
    await run('e2fsck', '-fn', `${raw}?offset=${PARTITION.offsetBytes}`);
    expect(await mounted(raw, PARTITION, digestsOf, { readOnly: true })).toEqual(live);
  }

  test('many zeros in its used blocks is read once more beforehand, and its image leaves them out', async () => {
    const zerosMib = 64;
    await fill(zerosMib);
    const { path: image, sizeBytes, report } = await capture();
    const partition = report.parts.find(({ what }) => what === 'partition 1')!;
    expect(partition).toMatchObject({ treatment: 'mapped' });
    expect(partition.used_bytes).toBeGreaterThanOrEqual((zerosMib + RANDOM_MIB) * MIB);

    expect(sizeBytes).toBeGreaterThan(RANDOM_MIB * MIB);
    expect(sizeBytes).toBeLessThan(RANDOM_MIB * MIB + SLACK_BYTES);
    expect(sizeBytes).toBeLessThan(partition.used_bytes! / 2);
    expect(report.prediction).toMatchObject({ image_bytes: sizeBytes });
    expect(expectedBytes.length).toBeGreaterThan(0);
    expect(Math.max(...expectedBytes)).toBeLessThan(partition.used_bytes! / 2); // the zeros are not counted before they are found
    await expectRestored(image);

    expect(report.attempts).toBe(1);
    expect(report.bytes_read).toBeGreaterThanOrEqual(partition.used_bytes! + report.prediction!.read_bytes);
    expect(report.bytes_read).toBeLessThanOrEqual(SAMPLE_BYTES + scans.reduce((sum, bytes) => sum + bytes, 0) + report.prediction!.read_bytes);
  });

  test('few zeros in its used blocks is read once', async () => {
    const zerosMib = 0;
    await fill(zerosMib);
    const { path: image, sizeBytes, report } = await capture();
    const partition = report.parts.find(({ what }) => what === 'partition 1')!;
    expect(partition).toMatchObject({ treatment: 'mapped' });
    expect(sizeBytes).toBeGreaterThanOrEqual(partition.used_bytes!);
    await expectRestored(image);

    expect(report.attempts).toBe(1);
    const outsideBytes = DISK_BYTES - PARTITION.sizeBytes;
    expect(report.bytes_read).toBeGreaterThanOrEqual(report.prediction!.read_bytes);
    expect(report.bytes_read).toBeLessThanOrEqual(SAMPLE_BYTES + outsideBytes + 2 * SLACK_BYTES + report.prediction!.read_bytes);
    expect(scans.every((bytes) => bytes <= outsideBytes + SLACK_BYTES)).toBe(true);
  });
});
