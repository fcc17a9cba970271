import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { systemLogsResultSchema } from '../../../protocol/agent-api.ts';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { until } from '../../rig/until.ts';
import { AgentStage } from './agent-stage.ts';
import { LoopDisk } from './loop-disk.ts';

jest.setTimeout(120_000);

const MIB = 1024 ** 2;
const NONCE = 'nonce-of-this-boot-Zm9vYmFy';
/** Enough refusals for any test. */
const FOR_EVER = Array<number>(10_000);
/** Exit code of an agent whose machine is to be booted. */
const REBOOT = 3;

let directory: string;
let stage: AgentStage | undefined;
let disk: LoopDisk | undefined;
let rebooted: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-leaving-'));
  rebooted = join(directory, 'rebooted');
});
afterEach(async () => {
  await stage?.close();
  await disk?.detach();
  stage = disk = undefined;
  await rm(directory, { recursive: true, force: true });
});

const start = async (agent: Record<string, unknown>, device = '/dev/metalshot-no-disk'): Promise<AgentStage> => (stage = await AgentStage.start({ device, agent }));
const impatient = (limits: Record<string, number>): Record<string, unknown> => ({ ramdisk: limits, reboot_command: ['touch', rebooted] });

/** The agent has ended as one whose machine boots, for this reason. */
async function expectReboot({ agent }: AgentStage, reason: RegExp): Promise<void> {
  await agent.line('the machine is booted', ({ msg }) => msg === 'the machine is booted from its own disk', 60_000);
  expect(await agent.ended()).toEqual({ code: REBOOT, signal: null });
  expect(agent.lines).toContainEqual(expect.objectContaining({ level: 60, reason: expect.stringMatching(reason) }));
  expect(existsSync(rebooted)).toBe(true);
}

describeWhere(['root'], 'an agent that is restarted in the same boot', () => {
  test('goes on with its registration, at the same address, and asks for no second lookup', async () => {
    const stage = await start({ boot_nonce: NONCE });
    await stage.agent.kill();
    await stage.restart();
    expect(stage.conductor.lookups).toMatchObject([{ bootNonce: NONCE }]);
    const [first, second] = stage.conductor.heartbeats;
    expect(second!.body).toEqual(first!.body);
    expect(stage.agent.text).not.toContain(NONCE);
  });

  test('says so when the conductor does not take that any more', async () => {
    const stage = await start({ boot_nonce: NONCE });
    await stage.agent.kill();
    stage.conductor.heartbeatFailures.push(400);
    await stage.restart();
    expect(await stage.agent.line('it is refused', ({ level }) => level === 60)).toMatchObject({ status: 400, msg: expect.stringContaining('does not take the registration of the earlier agent') });
  });

  test('but in another boot looks itself up, whatever is left of the last one', async () => {
    const stage = await start({ boot_nonce: NONCE });
    await stage.agent.kill();
    const path = join(stage.directory, 'agent.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...config, boot_nonce: 'nonce-of-the-next-boot', agent_token: 'a-token-that-the-next-boot-was-given-0123' }));
    await stage.restart();
    expect(stage.conductor.lookups).toMatchObject([{ bootNonce: NONCE }, { bootNonce: 'nonce-of-the-next-boot' }]);
  });
});

describeWhere(['root', 'fuse', 'loop'], 'the machine is booted from its own disk', () => {
  test('when the conductor takes no heartbeat any more', async () => {
    const stage = await start(impatient({ conductor_silence_timeout_s: 3 }));
    stage.conductor.heartbeatFailures.push(...FOR_EVER.fill(503));
    await expectReboot(stage, /^the conductor has taken no lookup or heartbeat for 3 s$/);
  });

  test('when nothing is commanded', async () => {
    await expectReboot(await start(impatient({ idle_timeout_s: 2 })), /^no command has been under way for 2 s$/);
  });

  test('not while a capture is under way; when the conductor falls silent then, the capture is stopped and leaves nothing', async () => {
    disk = await LoopDisk.create(directory, 40 * MIB);
    const stage = await start(impatient({ idle_timeout_s: 5, conductor_silence_timeout_s: 4 }), disk.device);
    stage.relay.holdAfter(8 * MIB);
    const id = await stage.capture();
    await stage.phase(id, 'uploading', true);
    const heartbeats = stage.conductor.heartbeats.length;
    await until('heartbeats for longer than an idle agent lives', () => stage.conductor.heartbeats.length > heartbeats + 6);
    stage.conductor.heartbeatFailures.push(...FOR_EVER.fill(503));
    await expectReboot(stage, /^the conductor has taken no lookup/);
    expect(stage.agent.lines).toContainEqual(expect.objectContaining({ msg: 'command failed', err: expect.objectContaining({ message: expect.stringMatching(/^the machine is booted from its own disk: the conductor has taken no/) }) }));
    expect(await stage.leftovers()).toEqual([]);
  });
});

describeWhere(['root', 'fuse', 'loop'], 'log.collect_system_logs', () => {
  test('brings the logs while a capture is under way, without any secret', async () => {
    disk = await LoopDisk.create(directory, 40 * MIB);
    const stage = await start({ boot_nonce: NONCE }, disk.device);
    stage.relay.holdAfter(8 * MIB);
    const capture = await stage.capture();
    await stage.phase(capture, 'uploading', true);
    const { status, data } = await stage.request('POST', '/v1/commands/?wait=true', { name: 'log.collect_system_logs', params: {} });
    expect({ status, data }).toMatchObject({ status: 200, data: { command_name: 'collect_system_logs', command_status: 'SUCCEEDED' } });
    const { system_logs } = systemLogsResultSchema.parse((data as { command_result: unknown }).command_result);
    await writeFile(join(directory, 'logs.tar.gz'), Buffer.from(system_logs, 'base64'));
    await runProgram('tar', ['-xzf', 'logs.tar.gz'], { cwd: directory, timeoutMs: 10_000 });
    const agentLog = await readFile(join(directory, 'agent.log'), 'utf8');
    expect(agentLog).toContain('"msg":"command starts"');
    for (const secret of [NONCE, stage.password, stage.conductor.token]) expect(agentLog).not.toContain(secret);
    expect(JSON.parse(await readFile(join(directory, 'inventory.json'), 'utf8'))).toMatchObject({ disks: [{ name: disk.device }] });
    expect((await stage.report(capture)).command_status).toBe('RUNNING');
  });
});
