import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { measureCommands, run } from './commands.mjs';
import { dropCached, dropDevice } from './page-cache.mjs';
import { ProcessWatch } from './process-watch.mjs';

const MIB = 1024 ** 2;
const script = (name) => fileURLToPath(new URL(name, import.meta.url));
const STREAM = { snapshot_method: 'stream', compression: 'none' };

export const ROW = {
  convert: 'qemu-img convert',
  mount: 'davfs2 mount',
  toNull: 'stream to null',
  toSpool: 'stream to spool',
  toSpoolTls: 'stream to spool, TLS',
  relay: 'relay to embedded',
  relayGlance: 'relay to Glance',
  upload: 'upload alone, embedded',
  uploadGlance: 'upload alone, Glance',
  reading: 'reading alone, dd',
  mac: 'proof alone, AES-256-GMAC',
  digest: 'digest alone, sha512',
  otherDigest: 'digest alone, sha256',
  tcp: 'loopback TCP alone',
  writing: 'writing alone, dd',
  largeDisk: 'stream to null, 64 GiB',
};

/**
 * What is measured, in order. Each `run` takes the bench (see benchmark.mjs) and resolves to
 * `{wallS, ends: {name: {cpuS, readBytes, writtenBytes, peakBytes}}, imageBytes, downtimeS?, transferS?}`.
 */
export function rowsFor({ machines, glance }) {
  const several = machines.filter((count) => count > 1);
  return [
    { name: ROW.convert, run: (bench) => convert(bench, 1) },
    { name: ROW.mount, run: (bench) => snapshot(bench, 'plain', 1, { snapshot_method: 'mount' }) },
    { name: ROW.toNull, run: (bench) => streamToNull(bench, bench.disks[0], bench.devices[0]) },
    { name: ROW.toSpool, run: (bench) => snapshot(bench, 'plain', 1, { ...STREAM, intermediate_storage: 'spool' }) },
    { name: ROW.toSpoolTls, run: (bench) => snapshot(bench, 'tls', 1, { ...STREAM, intermediate_storage: 'spool' }) },
    { name: ROW.relay, run: (bench) => snapshot(bench, 'plain', 1, { ...STREAM, intermediate_storage: 'relay' }) },
    ...(glance ? [{ name: ROW.relayGlance, run: (bench) => snapshot(bench, 'glance', 1, { ...STREAM, intermediate_storage: 'relay' }) }] : []),
    { name: ROW.upload, run: (bench) => upload(bench, 'plain') },
    ...(glance ? [{ name: ROW.uploadGlance, run: (bench) => upload(bench, 'glance') }] : []),
    { name: ROW.reading, run: readUsed },
    { name: ROW.mac, run: ({ dist, plan }) => alone('mac', dist, plan.imageBytes) },
    { name: ROW.digest, run: (bench) => digest(bench, 'sha512') },
    { name: ROW.otherDigest, run: (bench) => digest(bench, 'sha256') },
    { name: ROW.tcp, run: sendByTcp },
    { name: ROW.writing, run: writeImage },
    ...several.flatMap((count) => [
      { name: ROW.convert, machines: count, run: (bench) => convert(bench, count) },
      { name: ROW.toSpool, machines: count, run: (bench) => snapshot(bench, 'plain', count, { ...STREAM, intermediate_storage: 'spool' }) },
      { name: ROW.relay, machines: count, run: (bench) => snapshot(bench, 'plain', count, { ...STREAM, intermediate_storage: 'relay' }) },
    ]),
  ].map((row) => ({ machines: 1, ...row }));
}

/** The largest disk is not of the rounds: it shows that memory does not grow with it. */
export const measureLargeDisk = (bench) => streamToNull(bench, bench.largeDisk, bench.largeDevice);

async function convert({ disks, devices, directory }, machines) {
  for (const index of Array(machines).keys()) cool(disks[index], devices[index]);
  const outputs = Array.from({ length: machines }, (_, index) => join(directory, `converted-${index}.qcow2`));
  try {
    const figures = await measureCommands(outputs.map((output, index) => [['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', devices[index], output], ['sync', output]]));
    return { ...figures, imageBytes: await sizesOf(outputs) };
  } finally {
    for (const output of outputs) await rm(output, { force: true });
  }
}

async function snapshot({ sites, glance }, siteName, machines, options) {
  const site = sites[siteName];
  const glanceWatch = siteName === 'glance' ? new ProcessWatch({ glance: () => [glance.pid] }).start() : null;
  let glanceFigures = {};
  try {
    const { imageIds, ...figures } = await site.snapshot(machines, options);
    await site.deleteImages(imageIds);
    glanceFigures = glanceWatch?.stop() ?? {};
    return { ...figures, ends: { ...figures.ends, ...glanceFigures } };
  } finally {
    glanceWatch?.stop();
  }
}

async function streamToNull({ dist, sink }, disk, device) {
  cool(disk, device);
  const watch = new ProcessWatch({ sink: () => [sink.pid] }).start();
  try {
    const sent = JSON.parse(await run(process.execPath, [script('stream-sender.mjs'), dist, device, String(disk.sizeBytes), `http://127.0.0.1:${sink.http}`]));
    const { wallS, transferS, imageBytes, ...agent } = sent;
    return { wallS, transferS, imageBytes, ends: { agent, ...watch.stop() } };
  } finally {
    watch.stop();
  }
}

async function upload({ sites, glance, imageFile }, siteName) {
  const site = sites[siteName];
  const { id } = await site.createImage();
  const { size: imageBytes } = await stat(imageFile);
  const watch = new ProcessWatch(siteName === 'glance' ? { glance: () => [glance.pid] } : { conductor: () => [site.conductorPid] }).start();
  try {
    const [before, startedAt] = [process.cpuUsage(), performance.now()];
    await put(new URL(`/v2/images/${id}/file`, site.imageService), imageFile, imageBytes);
    const [{ user, system }, wallS] = [process.cpuUsage(before), (performance.now() - startedAt) / 1000];
    return { wallS, imageBytes, ends: { sender: { cpuS: (user + system) / 1e6, readBytes: imageBytes, writtenBytes: imageBytes, peakBytes: 0 }, ...watch.stop() } };
  } finally {
    watch.stop();
    await site.deleteImages([id]);
  }
}

async function put(url, file, sizeBytes) {
  const sent = request(url, { method: 'PUT', headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': sizeBytes } });
  const answered = new Promise((resolve, reject) => sent.once('response', (reply) => resolve(reply.resume().statusCode)).once('error', reject));
  const [status] = await Promise.all([answered, pipeline(createReadStream(file, { highWaterMark: MIB }), sent)]);
  if (status !== 204) throw new Error(`PUT ${url}: expected 204, found ${status}`);
}

async function readUsed({ disks, devices, plan }) {
  cool(disks[0], devices[0]);
  const readings = plan.ranges.map(([offsetBytes, sizeBytes]) => ['dd', `if=${devices[0]}`, 'of=/dev/null', 'bs=1M', 'iflag=direct,skip_bytes,count_bytes', `skip=${offsetBytes}`, `count=${sizeBytes}`, 'status=none']);
  return { ...(await measureCommands([readings])), imageBytes: plan.imageBytes };
}

/** The image's bytes from the cache to the disk, as the conductor writes them: past the page cache, with the final fsync. */
async function writeImage({ imageFile, directory, plan }) {
  const output = join(directory, 'written.qcow2');
  try {
    return { ...(await measureCommands([[['dd', `if=${imageFile}`, `of=${output}`, 'bs=1M', 'oflag=direct', 'conv=fsync', 'status=none']]])), imageBytes: plan.imageBytes };
  } finally {
    await rm(output, { force: true });
  }
}

async function digest({ plan }, algorithm) {
  return alone('digest', algorithm, plan.imageBytes);
}

async function sendByTcp({ sink, plan }) {
  const watch = new ProcessWatch({ sink: () => [sink.pid] }).start();
  try {
    const figures = await alone('tcp', sink.tcp, plan.imageBytes);
    return { ...figures, ends: { ...figures.ends, ...watch.stop() } };
  } finally {
    watch.stop();
  }
}

async function alone(stage, subject, imageBytes) {
  const { wallS, cpuS } = JSON.parse(await run(process.execPath, [script('single-stage.mjs'), stage, String(subject), String(imageBytes)]));
  return { wallS, imageBytes, ends: { sender: { cpuS, readBytes: 0, writtenBytes: stage === 'tcp' ? imageBytes : 0, peakBytes: 0 } } };
}

function cool(disk, device) {
  dropDevice(device);
  dropCached([disk.path]);
}

async function sizesOf(paths) {
  let total = 0;
  for (const path of paths) total += (await stat(path)).size;
  return total;
}
