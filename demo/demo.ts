import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import { Baremetal } from './baremetal.ts';
import type { CleanUp } from './clean-up.ts';
import { damageDisk } from './damage.ts';
import { enrol } from './enrolment.ts';
import type { DemoOptions } from './options.ts';
import { proveCaptured, proveRestored, type Proof } from './proof.ts';
import { SERVER, type DemoServer } from './server.ts';
import { setStage } from './stage.ts';
import { formatBytes, type StepReport } from './step-report.ts';
import { countBytes, countFiles } from './tree-listing.ts';
import { awaitOwnSystem, confirmServerIsBack } from './verdict.ts';

/** A server with a system of its own is waited for first. */
export const stepsOf = ({ bootMarker }: DemoServer): number => (bootMarker === null ? 12 : 13);
const GIB = 1024 ** 3;
/** For a snapshot, and for a restore; a virtual server takes minutes. */
const WAIT_S = '3600';
const BOOTS_OF_A_SNAPSHOT = ['Hdd', 'Pxe', 'Hdd'];
const BOOTS_OF_A_RESTORE = ['Pxe', 'Hdd'];

/** What `--json` prints; seconds and bytes. */
export interface DemoResult {
  /** Everything that the image holds is on the disk, and every file of the disk in the image. */
  identical: true;
  image_id: string;
  bytes: number;
  os_hash_algo: string;
  os_hash_value: string;
  duration_s: number;
  downtime_s: number;
  provision_state: string;
  files: number;
  /** Deleted data on the disk, which the image does not carry along. */
  left_out_bytes: number;
  disk_bytes: number;
  /** Of the restore after the disk was damaged, which is proven as the image was. */
  restore_duration_s: number;
}

const snapshotSchema = z.object({ status: z.literal('done'), size_bytes: z.number(), os_hash_algo: z.literal('sha512'), os_hash_value: z.string(), duration_s: z.number(), downtime_s: z.number() });
const restoreSchema = z.object({ operation: z.object({ status: z.literal('done'), kind: z.literal('rebuild'), duration_s: z.number() }) });
const imageSchema = z.object({ status: z.literal('active'), size: z.number(), os_hash_algo: z.string(), os_hash_value: z.string() });

/** Everything of a run is below it, and so can be found again. */
export const makeWorkDirectory = async (): Promise<string> => realpath(await mkdtemp(join(tmpdir(), 'metalshot-demo-')));

export interface DemoParts {
  workDirectory: string;
  server: DemoServer;
  options: DemoOptions;
  report: StepReport;
  cleanUp: CleanUp;
  /** Aborted on Ctrl-C, and by ourselves when a service dies. */
  stop: AbortController;
}

/** The whole demo up to its clean-up, which is the caller's. @throws the first thing that does not hold. */
export async function runDemo({ workDirectory, server, options, report, cleanUp, stop }: DemoParts): Promise<DemoResult> {
  const { signal } = stop;
  const disk = await report.step("Build the server's disk", () => server.buildDisk(workDirectory, signal), ({ sizeBytes, content }) => `${sizeBytes / GIB} GiB: boot record, GPT, ext4 with ${countFiles(content)} files (${formatBytes(countBytes(content))})`);

  const stage = await report.step(
    'Start conductor and machine',
    () => setStage({ workDirectory, server, diskPath: disk.path, options, signal, onUnexpectedEnd: (error) => stop.abort(error), onStarted: (name, undo) => cleanUp.add(name, undo) }),
    ({ api, imageService, redfish }) => `API ${api}, images ${imageService}, Redfish ${redfish.url}`,
  );
  const baremetal = new Baremetal({ ...stage, imageToken: options.glanceToken, terminal: options.terminal });

  if (server.bootMarker !== null) await report.step('Let the server boot its own disk', () => awaitOwnSystem(server, stage, signal), (line) => line);

  const node = await report.step('Enrol, manage and adopt the node', () => enrol(baremetal, server, stage, signal), (uuid) => uuid);

  const imageId = await report.step(
    'Create the image',
    async () => z.object({ id: z.uuid() }).parse(await baremetal.json(['image', 'create', 'metalshot-demo', '--disk-format', 'qcow2', '--container-format', 'bare'], signal)).id,
    (id) => id,
  );
  if (options.glance !== undefined && !options.keep) cleanUp.add('image', async () => void (await baremetal.run(['image', 'delete', imageId])));

  const snapshot = snapshotSchema.parse(
    await report.step('Take the snapshot', () => baremetal.jsonWithProgress(['node', 'snapshot', SERVER.id, '--image', imageId, '--wait', WAIT_S, '--poll-interval', '0.2'], signal), () => 'the server runs from its own disk again', { talks: true }),
  );

  const file = join(workDirectory, 'image.qcow2');
  await report.step('Download the image', () => baremetal.run(['image', 'save', imageId, '--file', file], signal), () => formatBytes(snapshot.size_bytes));
  const stored = imageSchema.parse(await baremetal.json(['image', 'show', imageId], signal));
  if (stored.size !== snapshot.size_bytes || stored.os_hash_algo !== snapshot.os_hash_algo || stored.os_hash_value !== snapshot.os_hash_value) {
    throw new OperationFailedError(`The image service holds ${stored.size} bytes with ${stored.os_hash_algo} ${stored.os_hash_value}; the conductor reported ${snapshot.size_bytes} bytes with ${snapshot.os_hash_algo} ${snapshot.os_hash_value}`);
  }

  const proof = await report.step('Prove the image', () => proveCaptured(disk, file, workDirectory, signal), describeProof);
  await report.step('Ask server and conductor', () => confirmServerIsBack({ baremetal, server, stage, node, signal }, BOOTS_OF_A_SNAPSHOT), (found) => `${found}, powered on, running from its own disk`);

  await report.step("Damage the server's disk", () => damageDisk(disk), (bytes) => `${formatBytes(bytes)} destroyed, boot record and partition table among them`);
  const { operation: restored } = restoreSchema.parse(
    await report.step('Restore it from the image', () => baremetal.jsonWithProgress(['node', 'restore', SERVER.id, '--image', imageId, '--wait', WAIT_S, '--poll-interval', '0.2'], signal), () => 'the disk is written again, and the server runs from it', { talks: true }),
  );
  const { files: restoredFiles, state } = await report.step(
    'Prove the disk restored',
    async () => ({ files: await proveRestored(disk, file, workDirectory, signal), state: await confirmServerIsBack({ baremetal, server, stage, node, signal }, [...BOOTS_OF_A_SNAPSHOT, ...BOOTS_OF_A_RESTORE]) }),
    (found) => `every byte of the image, and ${found.files} files; ${found.state}, running from its own disk`,
  );
  if (restoredFiles !== proof.files) throw new OperationFailedError(`The restored disk has ${restoredFiles} files, the image ${proof.files}`);
  return {
    identical: true,
    image_id: imageId,
    bytes: snapshot.size_bytes,
    os_hash_algo: snapshot.os_hash_algo,
    os_hash_value: snapshot.os_hash_value,
    duration_s: snapshot.duration_s,
    downtime_s: snapshot.downtime_s,
    provision_state: state,
    files: proof.files,
    left_out_bytes: proof.leftOutBytes,
    disk_bytes: disk.sizeBytes,
    restore_duration_s: restored.duration_s,
  };
}

const describeProof = ({ files, heldBytes, leftOutBytes }: Proof): string => `${formatBytes(heldBytes)} equal to the disk byte by byte, and ${files} files by sha256, owner and mode; ${formatBytes(leftOutBytes)} of deleted data left out`;

export async function removeWorkDirectory(workDirectory: string): Promise<void> {
  await rm(workDirectory, { recursive: true, force: true });
}
