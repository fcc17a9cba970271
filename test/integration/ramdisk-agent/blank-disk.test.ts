import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { streamImageParamsSchema } from '../../../protocol/agent-api.ts';
import { capturePredictionSchema, type CapturePrediction } from '../../../protocol/capture.ts';
import { captureByStream, type CapturedImage } from '../../../ramdisk-agent/capture/stream-capture.ts';
import { ProgressClock } from '../../../ramdisk-agent/progress-clock.ts';
import { ServedShare, type Guest } from '../../unit/webdav/served-share.ts';

const MIB = 1024 ** 2;
let directory: string;
let served: ServedShare;
let guest: Guest;
let clock: ProgressClock | undefined;
let predicted: CapturePrediction | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-unreached-'));
  served = await ServedShare.start();
  guest = await served.invite();
  predicted = undefined;
});
afterEach(async () => {
  clock?.release();
  await served.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Of a disk that is a file: `data` at its begin, zeros behind. */
async function capture(data: Buffer, { stallS = 60 } = {}): Promise<CapturedImage> {
  const name = join(directory, 'disk');
  const file = await open(name, 'w');
  await file.write(data);
  await file.truncate(64 * MIB);
  await file.close();
  clock = new ProgressClock('the capture', new AbortController().signal, 120, stallS);
  const params = streamImageParamsSchema.parse({ username: guest.username, password: guest.password, url: guest.url, image_name: 'disk.qcow2', disk_format: 'qcow2', method: 'stream', compression: 'none', attempts: 1, deadline_s: 120, stall_timeout_s: stallS });
  const device = { name, sizeBytes: 64 * MIB, sectorSizeBytes: 512, rotational: false, model: null, vendor: null, serial: null, wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null };
  const progress = (phase: string, _done: number, _total: number, prediction?: CapturePrediction): void => {
    clock?.moved();
    if (phase !== 'streaming' || predicted !== undefined) return;
    predicted = prediction;
  };
  return await captureByStream({ device, params, clock, progress });
}

test('a blank disk is predicted to take no time', async () => {
  const { sizeBytes } = await capture(Buffer.alloc(0));
  expect(capturePredictionSchema.parse(JSON.parse(JSON.stringify(predicted)))).toMatchObject({ duration_s: 0, disk_bytes_per_s: 0, image_bytes: sizeBytes });
}, 60_000);
