import { constants } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import type { WriteImageProgress } from '../../../protocol/deploy-commands.ts';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { until } from '../../rig/until.ts';
import { AgentStage } from './agent-stage.ts';
import { fillWithGarbage, readRange } from './deploy-stage.ts';
import { ACCOUNT, ImageServer } from './image-server.ts';
import { LoopDisk } from './loop-disk.ts';
import { buildServerImage, IMAGE_BYTES } from './server-image.ts';

const MIB = 1024 ** 2;

jest.setTimeout(120_000);

let directory: string;
let disk: LoopDisk;
let images: ImageServer;
let stage: AgentStage;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-killed-'));
  images = await ImageServer.start();
  images.serve(await buildServerImage(directory, 'image.img'));
  const path = join(directory, 'disk.img');
  await runProgram('truncate', ['--size', String(IMAGE_BYTES), path], { timeoutMs: 10_000 });
  await fillWithGarbage(path);
  disk = await LoopDisk.attach(path);
  stage = await AgentStage.start({ device: disk.device });
});
afterEach(async () => {
  await images.close();
  await stage.close();
  await disk.detach();
  await rm(directory, { recursive: true, force: true });
});

const headIsWiped = async (): Promise<boolean> => (await readRange(disk.device, 0, MIB)).equals(Buffer.alloc(MIB));

async function begin(): Promise<string> {
  const params = { url: images.url, ...ACCOUNT, ca: images.ca, virtual_size_bytes: IMAGE_BYTES, root_device: { name: disk.device }, deadline_s: 100, stall_timeout_s: 60 };
  const { status, data } = await stage.request('POST', '/v1/commands/?wait=false', { name: 'deploy.write_image', params });
  expect([status, data]).toEqual([200, expect.objectContaining({ command_name: 'write_image' })]);
  expect(JSON.stringify(data)).not.toContain(ACCOUNT.password);
  return (data as CommandReport).id;
}

async function beginHeld(): Promise<string> {
  images.answers.push({ kind: 'held', afterBytes: 4 * MIB });
  const id = await begin();
  await until('the disk is being written', async () => ((await stage.report(id)).command_result as WriteImageProgress | null)?.disk_touched === true && headIsWiped());
  return id;
}

describeWhere(['root', 'loop'], 'an agent that runs as a program', () => {
  test('writes the image and forces a heartbeat at the end', async () => {
    const id = await begin();
    expect(await stage.ended(id)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { disk: { name: disk.device } } });
    await until('the second heartbeat, long before its interval', () => stage.conductor.heartbeats.length > 1);
    expect(await stage.leftovers()).toEqual([]);
  });

  test('killed while it writes: back again it reports the command FAILED, the disk as touched, and nothing boots from it', async () => {
    const id = await beginHeld();
    await stage.agent.kill();
    await stage.restart();
    expect(await stage.report(id)).toMatchObject({ command_status: 'FAILED', command_error: { type: 'AgentRestarted', details: '{"disk_touched":true}' } });
    expect(stage.agent.text).toContain('half-written: its beginning and end are wiped');
    expect(await headIsWiped()).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
  });

  test('that cannot wipe the disk it was writing comes back all the same, and refuses that disk until it can', async () => {
    await beginHeld();
    await stage.agent.kill();
    const inUse = await open(disk.device, constants.O_RDWR | constants.O_EXCL);
    try {
      await stage.restart();
      expect(stage.agent.text).toContain('half-written, cannot be wiped');
      const refused = await stage.ended(await begin());
      expect(refused).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringMatching(/^an earlier deployment has left .* half-written, and its beginning and end can not be wiped: .*in use/) } });
    } finally {
      await inUse.close();
    }
    expect(await stage.ended(await begin())).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('stopped by DELETE it has let go of the disk when that is answered', async () => {
    const id = await beginHeld();
    expect(await stage.request('DELETE', `/v1/commands/${id}`)).toMatchObject({ status: 204 });
    expect(await stage.report(id)).toMatchObject({ command_status: 'FAILED', command_error: { message: 'the command was stopped on request', details: '{"disk_touched":true}' } });
    expect(await headIsWiped()).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
  });

  test('asked to end while it writes, it ends with 0; nothing boots from the disk', async () => {
    await beginHeld();
    await stage.agent.stop();
    expect(await stage.agent.ended()).toEqual({ code: 0, signal: null });
    expect(await headIsWiped()).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
  });
});
