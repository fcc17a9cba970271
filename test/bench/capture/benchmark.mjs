import { createWriteStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { run } from './commands.mjs';
import { buildDisk, buildLargeDisk, copyDisk } from './disk.mjs';
import { startGlance } from './glance.mjs';
import { Program } from './program.mjs';
import { measureLargeDisk, rowsFor } from './rows.mjs';
import { startSite } from './site.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const INTERRUPTED_EXIT_CODE = 130;
const script = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * Measures every row, round by round, in one run.
 * @param options.machines how many are captured at once, 1 among them. @param options.share of what is on the disk of a full run.
 * @returns {Promise<{disk: object, rounds: object[], large: object}>} every single measurement.
 */
export async function measureCaptures({ rounds, share, fileSystem, machines, dist, withGlance, workDirectory, say }) {
  const directory = await mkdtemp(join(workDirectory, 'metalshot-bench-'));
  const ends = [() => rm(directory, { recursive: true, force: true, maxRetries: 3 })];
  const endAll = async () => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  };
  const stop = () => void endAll().finally(() => process.exit(INTERRUPTED_EXIT_CODE));
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    const bench = await prepare({ directory, dist, share, fileSystem, machines, withGlance, say }, (end) => ends.push(end));
    const rows = rowsFor({ machines, glance: withGlance });
    const measured = [];
    for (let round = 1; round <= rounds; round += 1) {
      // the order changes, so that none always finds the machine in the better state
      for (const row of round % 2 === 1 ? rows : rows.toReversed()) {
        say(`round ${round} of ${rounds}: ${row.name}${row.machines > 1 ? `, ${row.machines} at once` : ''}`);
        await run('sync', []); // nobody's disk is busy with what the row before has left to be written
        measured.push({ round, row: row.name, machines: row.machines, ...(await row.run(bench)) });
      }
    }
    say('the disk of 64 GiB');
    return { disk: { fileSystem, sizeBytes: bench.disks[0].sizeBytes, imageBytes: bench.plan.imageBytes, parts: bench.plan.parts }, rounds: measured, large: await measureLargeDisk(bench) };
  } finally {
    await endAll();
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

/** Everything that the rows need; `onEnd` is told how to end each thing. */
async function prepare({ directory, dist, share, fileSystem, machines, withGlance, say }, onEnd) {
  const load = (path) => import(pathToFileURL(join(dist, path)).href);
  const tools = { ...(await load('protocol/program.js')), ...(await load('demo/disk-content.js')) };
  const { LoopDevice } = await load('simulator/loop-device.js');
  const attach = async ({ path }) => {
    const device = await LoopDevice.attach(path);
    onEnd(() => device.release());
    if (readFileSync(`/sys/block/${basename(device.path)}/loop/dio`, 'utf8').trim() !== '1') say(`${path}: its file system takes no direct access, so the disk has a second cache beneath`);
    return device.path;
  };
  say(`building the disk (${fileSystem})`);
  const first = await buildDisk(directory, { share, fileSystem }, tools);
  const disks = [first, ...(await copyDisk(first, directory, Math.max(...machines) - 1, tools))];
  const devices = [];
  for (const disk of disks) devices.push(await attach(disk));
  const largeDisk = await buildLargeDisk(directory, tools);
  const plan = JSON.parse(await run(process.execPath, [script('stream-sender.mjs'), dist, devices[0], String(first.sizeBytes)]));

  say('starting conductors and machines');
  const sink = new Program('sink', [process.execPath, script('null-sink.mjs')], { logFile: join(directory, 'sink.log') });
  onEnd(() => sink.stop());
  let ports;
  await sink.line((line) => line.http !== undefined && (ports = line));
  const glance = withGlance ? await startGlance(directory) : null;
  if (glance) onEnd(() => glance.close());
  const sites = {};
  const kinds = { plain: { disks, tls: false, glanceUrl: null }, tls: { disks: [first], tls: true, glanceUrl: null }, ...(glance ? { glance: { disks: [first], tls: false, glanceUrl: glance.url } } : {}) };
  for (const [name, kind] of Object.entries(kinds)) {
    sites[name] = await startSite(name, { dist, directory, ...kind });
    onEnd(() => sites[name].close());
  }
  const imageFile = join(directory, 'image.qcow2');
  say('taking the image that uploads are measured with');
  await takeImage(sites.plain, imageFile);
  return { dist, directory, disks, devices, largeDisk, largeDevice: await attach(largeDisk), plan, sink: { pid: sink.pid, ...ports }, glance, sites, imageFile };
}

/** A captured image as the image service gives it back; and the proof that it is one. */
async function takeImage(site, file) {
  const { imageIds } = await site.snapshot(1, { snapshot_method: 'stream', compression: 'none', intermediate_storage: 'relay' });
  await new Promise((resolve, reject) => {
    get(new URL(`/v2/images/${imageIds[0]}/file`, site.imageService), (reply) => pipeline(reply, createWriteStream(file)).then(resolve, reject)).once('error', reject);
  });
  await site.deleteImages(imageIds);
  await run('qemu-img', ['check', file]);
}
