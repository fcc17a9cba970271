import { mkdtemp, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { streamImageResultSchema } from '../../../protocol/agent-api.ts';
import { runProgram } from '../../../protocol/program.ts';
import { until } from '../../rig/until.ts';
import { AgentStage, processesNaming, type StageOptions } from './agent-stage.ts';
import { proofOf } from '../../rig/proof-of.ts';
import { LoopDisk } from './loop-disk.ts';

const MIB = 1024 ** 2;
const DATA_BYTES = 40 * MIB;
/** More than the requests of a mount, less than the 200 KB of an empty qcow2 that davfs2 sends while qemu-img opens it. */
const BEGIN_OF_CONVERSION_BYTES = 64 * 1024;
/** More than that, less than the image: the network holds in the middle of the upload. */
const MIDDLE_OF_UPLOAD_BYTES = 8 * MIB;

jest.setTimeout(120_000);

let directory: string;
let disk: LoopDisk;
let stage: AgentStage | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-disk-'));
  disk = await LoopDisk.create(directory, DATA_BYTES);
});
afterAll(async () => {
  await disk?.detach();
  await rm(directory, { recursive: true, force: true });
});
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

const start = async (options: Partial<StageOptions> = {}): Promise<AgentStage> => (stage = await AgentStage.start({ device: disk.device, ...options }));

/** A capture whose qemu-img waits for the share, which does not answer. */
async function startHeldInConversion(): Promise<{ stage: AgentStage; id: string }> {
  const stage = await start();
  stage.relay.holdAfter(BEGIN_OF_CONVERSION_BYTES);
  const id = await stage.capture();
  await stage.phase(id, 'converting');
  await until('qemu-img runs', () => conversions(stage).length > 0);
  return { stage, id };
}

const conversions = (stage: AgentStage): { pid: number }[] => processesNaming(stage.runDirectory).filter(({ command }) => command.startsWith('qemu-img convert'));

async function startHeldInUpload(options: Record<string, unknown> = {}): Promise<{ stage: AgentStage; id: string }> {
  const stage = await start();
  stage.relay.holdAfter(MIDDLE_OF_UPLOAD_BYTES);
  const id = await stage.capture(options);
  await stage.phase(id, 'uploading', true);
  return { stage, id };
}

describe('snapshot.stream_image', () => {
  test('brings the whole disk to the share, identical, with the size and digest of what arrived, and leaves nothing behind', async () => {
    const stage = await start();
    const id = await stage.capture();
    const report = await stage.ended(id);
    expect(report).toMatchObject({ id, command_name: 'stream_image', command_status: 'SUCCEEDED', command_error: null });
    const result = streamImageResultSchema.parse(report.command_result);
    const received = await stage.share.received(stage.snapshotUuid, stage.imageName);
    expect(result).toMatchObject({ image_name: stage.imageName, size_bytes: received!.sizeBytes, proof: await proofOf(received!.path, result.proof), virtual_size_bytes: disk.sizeBytes, disk: { name: disk.device, size_bytes: disk.sizeBytes }, inventory: { disks: [{ name: disk.device, size: disk.sizeBytes }], boot: { current_boot_mode: 'bios' } } });
    await expect(runProgram('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', disk.imagePath, received!.path], { timeoutMs: 60_000 })).resolves.toMatchObject({ exitCode: 0 });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('forces a heartbeat when it has ended', async () => {
    const stage = await start();
    const id = await stage.capture();
    await stage.ended(id);
    await until('the second heartbeat, long before the interval of 90 s', () => stage.conductor.heartbeats.length > 1);
  });

  test('is refused before anything is mounted or read in full when the image cannot fit the cache', async () => {
    const stage = await start({ cacheSizeBytes: 24 * MIB });
    const before = bytesReadBy(stage.agent.pid);
    const report = await stage.ended(await stage.capture());
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('does not fit the cache') } });
    expect(bytesReadBy(stage.agent.pid) - before).toBeLessThan(disk.sizeBytes / 2);
    expect(stage.shareRequests).toBe(0);
    expect(await stage.leftovers()).toEqual([]);
  });

  test('counts what is really on the disk when only that fits the cache', async () => {
    const stage = await start({ cacheSizeBytes: 256 * MIB });
    expect(await stage.ended(await stage.capture())).toMatchObject({ command_status: 'SUCCEEDED' });
  });

  test('fails when the share refuses the image for want of room', async () => {
    const stage = await start({ quotaBytes: 4 * MIB });
    const report = await stage.ended(await stage.capture());
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('the share refused the image') } });
    expect(await stage.share.received(stage.snapshotUuid, stage.imageName)).not.toMatchObject({ sizeBytes: DATA_BYTES });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('fails when the share dies during the upload', async () => {
    const { stage, id } = await startHeldInUpload();
    await stage.relay.cut();
    const report = await stage.ended(id);
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('the share went away') } });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('survives a broken connection: the image is sent again', async () => {
    const { stage, id } = await startHeldInUpload();
    stage.relay.breakConnections();
    const report = await stage.ended(id);
    expect(report).toMatchObject({ command_status: 'SUCCEEDED' });
    const received = await stage.share.received(stage.snapshotUuid, stage.imageName);
    const { proof } = streamImageResultSchema.parse(report.command_result);
    expect(proof).toEqual(await proofOf(received!.path, proof));
  });

  test('fails when the share cannot be reached, although mount exits 0', async () => {
    const stage = await start();
    await stage.relay.cut();
    const report = await stage.ended(await stage.capture());
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('cannot be reached') } });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('fails with the reason when the share does not accept the password', async () => {
    const stage = await start();
    const report = await stage.ended(await stage.capture({ password: 'not-the-password' }));
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('uthenti') } });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('fails when the share shows another certificate than the pinned one', async () => {
    const stage = await start();
    const other = String(stage.conductor.heartbeats[0]!.body['agent_verify_ca']);
    const report = await stage.ended(await stage.capture({ ca: other }));
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('certificate') } });
    expect(await stage.share.received(stage.snapshotUuid, stage.imageName)).toBeNull();
    expect(await stage.leftovers()).toEqual([]);
  });

  test('fails when qemu-img is killed', async () => {
    const { stage, id } = await startHeldInConversion();
    process.kill(conversions(stage)[0]!.pid, 'SIGKILL');
    const report = await stage.ended(id);
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('qemu-img was killed by SIGKILL') } });
    expect(await stage.leftovers()).toEqual([]);
  });

  test.each([
    ['converting', startHeldInConversion],
    ['uploading', startHeldInUpload],
  ])('stopped while %s it lets go of disk and mount before the request is answered', async (_phase, startHeld) => {
    const { stage, id } = await startHeld();
    expect(await stage.request('DELETE', `/v1/commands/${id}`)).toMatchObject({ status: 204 });
    expect(await stage.leftovers()).toEqual([]);
    expect(await stage.report(id)).toMatchObject({ command_status: 'FAILED', command_error: { message: 'the command was stopped on request' } });
    // and the agent is free again
    expect(await stage.request('DELETE', `/v1/commands/${id}`)).toMatchObject({ status: 204 });
    await expect(stage.capture()).resolves.toEqual(expect.any(String));
  });

  test.each([
    ['has made no progress for 2 s', { stall_timeout_s: 2 }],
    ['did not end within its deadline of 15 s', { deadline_s: 15 }],
  ])('fails and says so when it %s', async (message, params) => {
    const { stage, id } = await startHeldInUpload(params);
    const report = await stage.ended(id);
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: `the capture ${message}` } });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('an agent that was killed while streaming cleans up after itself when it comes back, and reports the command FAILED', async () => {
    const { stage, id } = await startHeldInUpload();
    const before = stage.conductor.heartbeats.at(-1)!.body;
    await stage.agent.kill();
    expect(await stage.leftovers()).not.toEqual([]);
    await stage.restart();
    expect(await stage.leftovers()).toEqual([]);
    expect(stage.conductor.heartbeats.at(-1)!.body).toEqual(before); // the same address, certificate and token
    expect(await stage.report(id)).toMatchObject({ command_status: 'FAILED', command_error: { type: 'AgentRestarted', message: expect.stringContaining('restarted while snapshot.stream_image was running') } });
  });

  test('killed while converting, the agent leaves no qemu-img behind once it is back', async () => {
    const { stage } = await startHeldInConversion();
    await stage.agent.kill();
    expect(conversions(stage)).not.toEqual([]);
    await stage.restart();
    expect(await stage.leftovers()).toEqual([]);
  });

  test('SIGTERM stops the capture, cleans up and ends the agent with 0', async () => {
    const { stage } = await startHeldInUpload();
    await stage.agent.stop();
    expect(await stage.agent.ended()).toEqual({ code: 0, signal: null });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('keeps the password out of process arguments, replies and logs', async () => {
    const { stage, id } = await startHeldInUpload();
    expect(processesNaming(stage.password)).toEqual([]);
    const report = await stage.report(id);
    expect(report.command_params).toMatchObject({ username: 'agent', password: '******' });
    await stage.request('DELETE', `/v1/commands/${id}`);
    const secret = JSON.stringify(stage.password).slice(1, -1);
    for (const text of [JSON.stringify(await stage.request('GET', '/v1/commands/')), stage.agent.text, readFileSync(join(stage.runDirectory, 'commands.json'), 'utf8')]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(stage.conductor.token);
    }
  });
});

function bytesReadBy(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1]);
}
