#!/usr/bin/env node
/**
 * `stream-sender.mjs DIST DEVICE SIZE_BYTES [URL]`: what the agent does for a stream, without an agent around it: maps the device, measures, and
 * sends it to URL. Prints what that took as JSON. Without URL: prints which ranges of the device are sent.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { endedChildren } from './process-watch.mjs';

const [dist, name, size, url] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(resolve(dist), path)).href);
const DAY_S = 86_400;
const device = { name, sizeBytes: Number(size), sectorSizeBytes: 512, rotational: false, model: null, vendor: null, serial: null, wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null };

async function plan() {
  const [{ planStream }, { DiskSource }] = [await load('ramdisk-agent/capture/stream-plan.js'), await load('ramdisk-agent/qcow2/disk-source.js')];
  const disk = await DiskSource.open(name, { onReadError: 'fail' });
  try {
    const { layout, parts } = await planStream(device, disk, { full: false, signal: AbortSignal.timeout(DAY_S * 1000), onMapping: () => undefined, onScanned: () => undefined });
    return { imageBytes: layout.imageBytes, parts: parts.map(({ summary }) => summary), ranges: layout.runs.map(({ first, count }) => [first * 65_536, Math.min((first + count) * 65_536, device.sizeBytes) - first * 65_536]) };
  } finally {
    await disk.close();
  }
}

async function send() {
  const [{ captureByStream }, { ProgressClock }] = [await load('ramdisk-agent/capture/stream-capture.js'), await load('ramdisk-agent/progress-clock.js')];
  const clock = new ProgressClock('the capture', new AbortController().signal, DAY_S, DAY_S);
  const params = { url, image_name: 'image', username: 'sender', password: 'none', method: 'stream', full: false, on_read_error: 'fail', compression: 'none', attempts: 1, stall_timeout_s: DAY_S, deadline_s: DAY_S };
  const [childrenBefore, before, startedAt] = [endedChildren(), process.cpuUsage(), performance.now()];
  let streamingAt;
  const progress = (phase) => {
    if (phase === 'streaming') streamingAt ??= performance.now();
  };
  try {
    const { sizeBytes, report } = await captureByStream({ device, params, clock, progress });
    const [{ user, system }, endedAt, after] = [process.cpuUsage(before), performance.now(), endedChildren()];
    return {
      imageBytes: sizeBytes,
      wallS: (endedAt - startedAt) / 1000,
      transferS: (endedAt - streamingAt) / 1000,
      cpuS: (user + system) / 1e6 + after.cpuS - childrenBefore.cpuS,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      readBytes: report.bytes_read,
      writtenBytes: report.wire_bytes,
    };
  } finally {
    clock.release();
  }
}

process.stdout.write(`${JSON.stringify(url === undefined ? await plan() : await send())}\n`);
