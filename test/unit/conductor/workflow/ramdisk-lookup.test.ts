import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newCredential } from '../../../../conductor/drivers/credential.ts';
import { CaptureSlots } from '../../../../conductor/workflow/capture-slots.ts';
import { ConductorWorkflow } from '../../../../conductor/workflow/conductor-workflow.ts';
import type { WorkflowParts } from '../../../../conductor/workflow/parts.ts';
import type { LookupAnswer } from '../../../../conductor/workflow/ramdisk-lookup.ts';
import { settleOperation } from '../../../../conductor/workflow/operation-workflow.ts';
import { SnapshotSession } from '../../../../conductor/workflow/snapshot-session.ts';
import { startSnapshot } from '../../../../conductor/workflow/snapshot-workflow.ts';
import { OperationFailedError } from '../../../../protocol/errors.ts';
import { until } from '../../../rig/until.ts';
import { WorkflowStage } from './workflow-stage.ts';

const ADDRESS = '52:54:00:00:00:00';
const PEER = '10.77.0.5';
const { password: nonce, hash: bootNonceHash } = newCredential();

let stage: WorkflowStage;
let parts: WorkflowParts;
let workflow: ConductorWorkflow;
let node: NodeRow;
beforeEach(async () => {
  stage = await WorkflowStage.start();
  const agent = { status: () => Promise.reject(new OperationFailedError('no answer', { unreachable: true })) };
  parts = Object.create(stage.parts, { agent: { value: agent }, operationLimits: { value: {} }, share: { value: {} }, images: { value: {} }, maxConcurrentCaptures: { value: 2 } }) as WorkflowParts;
  workflow = new ConductorWorkflow(parts);
  node = await stage.machineNode();
  await stage.db.ports.create({ nodeId: node.id, address: ADDRESS });
  node = await stage.walk(node, ['snapshot', 'wait']);
  await stage.db.snapshots.setPhase((await snapshot()).id, 'await ramdisk');
  await stage.db.nodes.update(node.id, { ramdiskBoot: 'served', bootNonceHash, bootBack: 'pending', powerOffDue: 'ramdisk', powerStateBefore: 'power on', bootDeviceBefore: {} });
});
afterEach(() => stage.close());

const snapshot = async (): Promise<NonNullable<Awaited<ReturnType<typeof stage.db.snapshots.latestOf>>>> => (await stage.db.snapshots.latestOf(node.id))!;
const current = (): Promise<NodeRow> => stage.db.nodes.get(node.id);
const lookup = (brought: string | undefined = undefined, peer = PEER): Promise<LookupAnswer | null> => workflow.lookup({ addresses: [ADDRESS], nodeUuid: undefined, nonce: brought, peer });
const alarms = async (): Promise<string[]> => (await stage.history(node)).map(({ event }) => event).filter((event) => event.startsWith('Alarm: '));
const failed = (): Promise<NodeRow> =>
  until('the snapshot has failed', async () => {
    const now = await current();
    return now.provisionState === 'snapshot failed' && now.reservation === null ? now : null;
  });

describe('the lookup of a node whose boot has a nonce', () => {
  test('is answered to the one that brings it, with the token', async () => {
    expect(await lookup(nonce)).toMatchObject({ node: { uuid: node.uuid }, agentToken: expect.stringMatching(/^.{43}$/) });
    expect(await alarms()).toEqual([]);
  });

  test.each<[string, string | undefined]>([
    ['no nonce', undefined],
    ['an empty one', ''],
    ['another one', newCredential().password],
    ['the stored hash', bootNonceHash],
  ])('is refused to one that brings %s, with an alarm that names it', async (_case, brought) => {
    expect(await lookup(brought)).toBeNull();
    expect(await alarms()).toEqual([expect.stringContaining(PEER)]);
    expect((await current()).agentToken).toBeNull();
    expect(await lookup(nonce)).not.toBeNull(); // the right one is not kept out by it
  });

  test('fills the history with one line a minute, however often it is refused', async () => {
    for (let tries = 0; tries < 20; tries += 1) expect(await lookup('wrong')).toBeNull();
    expect(await alarms()).toHaveLength(1);
  });

  test('is refused to everybody while nobody has been given the ramdisk', async () => {
    await stage.db.nodes.update(node.id, { ramdiskBoot: 'armed', bootNonceHash: null });
    for (const brought of [undefined, nonce]) expect(await lookup(brought)).toBeNull();
    expect(await alarms()).toHaveLength(1);
    expect((await current()).agentToken).toBeNull();
  });

  test('is answered as ever to the one that brings it although somebody has asked for the boot script again; a second machine is found as ever', async () => {
    await stage.db.nodes.update(node.id, { ramdiskBoot: 'left' });
    expect(await lookup('wrong')).toBeNull();
    expect(await lookup(nonce)).toMatchObject({ agentToken: expect.stringMatching(/^.{43}$/) });
    expect(await current()).toMatchObject({ provisionState: 'snapshot wait', lastError: null });
    expect(await lookup(nonce, '10.77.0.66')).toBeNull();
    expect((await failed()).lastError).toContain('A second machine (10.77.0.66)');
  });

  test('is as ever where the boot interface knows no nonces: the token once', async () => {
    await stage.db.nodes.update(node.id, { ramdiskBoot: null, bootNonceHash: null });
    expect(await lookup()).toMatchObject({ agentToken: expect.stringMatching(/^.{43}$/) });
    expect(await lookup('anything')).toMatchObject({ agentToken: '******' });
  });
});

describe('a second lookup within one boot', () => {
  test('fails the snapshot that waits, with the server brought back, and tells nobody anything', async () => {
    await stage.rack.machine('machine-0').reset('On');
    expect(await lookup(nonce)).not.toBeNull();
    expect(await lookup(nonce, '10.77.0.66')).toBeNull();
    const after = await failed();
    expect(after.lastError).toContain('A second machine (10.77.0.66) looked itself up as this node within one boot');
    expect(await snapshot()).toMatchObject({ status: 'failed', error: expect.stringContaining('second machine') });
    await until('the server is back', async () => (await current()).bootBack === 'done');
    expect(await current()).toMatchObject({ bootNonceHash: null, ramdiskBoot: null, agentToken: null, powerState: 'power on' });
    expect(await alarms()).toEqual([expect.stringContaining('10.77.0.66')]);
  });

  test('of many that come at once leaves one with the token, and fails the snapshot', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => lookup(nonce)));
    expect(answers.filter((answer) => answer !== null)).toHaveLength(1);
    await failed();
  });

  test('while work is being carried out fails it at its next step', async () => {
    expect(await lookup(nonce)).not.toBeNull();
    await stage.walk(node, ['resume'], parts.host);
    const session = await SnapshotSession.open(parts, await current(), await snapshot());
    const begun: string[] = [];
    const phases = (['verify', 'upload'] as const).map((name) => ({
      name,
      timeoutMs: 10_000,
      run: async () => {
        begun.push(name);
        expect(await lookup(nonce, '10.77.0.66')).toBeNull();
        return 'done' as const;
      },
    }));
    await expect(session.runPhases(phases)).rejects.toThrow('A second machine (10.77.0.66)');
    expect(begun).toEqual(['verify']);
  });

  test('as the last step ends keeps the work from waiting on', async () => {
    expect(await lookup(nonce)).not.toBeNull();
    await stage.walk(node, ['resume'], parts.host);
    const session = await SnapshotSession.open(parts, await current(), await snapshot());
    const run = async (): Promise<'wait'> => {
      await lookup(nonce);
      return 'wait';
    };
    await expect(session.runPhases([{ name: 'streaming', timeoutMs: 10_000, run }])).rejects.toThrow('A second machine');
  });

  test('is noticed when the ramdisk has been switched off already and its work goes on', async () => {
    await stage.db.nodes.update(node.id, { ramdiskBoot: null }); // its token is void, too
    expect(await lookup(nonce)).toBeNull();
    await failed();
  });

  test('that a conductor died of is acted upon by the next one', async () => {
    await stage.db.nodes.update(node.id, { bootNonceHash: 'second lookup from 10.77.0.66', agentToken: 't', agentUrl: 'https://127.0.0.1:1' });
    await workflow.start();
    expect((await failed()).lastError).toContain('A second machine (10.77.0.66)');
  });

  test('does not concern the next snapshot, even if the conductor died before it was forgotten', async () => {
    await stage.db.nodes.update(node.id, { bootNonceHash: 'second lookup from 10.77.0.66' });
    await stage.walk(node, ['fail']);
    await stage.db.snapshots.finish((await snapshot()).id, 'failed', 'alarm');
    await stage.walk(node, ['snapshot']);
    expect(await startSnapshot({ parts, node: await current(), user: 'alice' }, new CaptureSlots(parts))).toEqual({ type: 'wait' });
    expect((await current()).bootNonceHash).toBeNull();
  });

  test('leaves a disk that was written by then for half-written, whatever the agent has said of it', async () => {
    const other = await stage.machineNode(0, { provisionState: 'deploy failed', lastError: 'alarm' });
    const operation = await stage.db.operations.create(other.id, { uuid: randomUUID(), kind: 'rebuild', requestedBy: 'alice', image: { source: 'x' }, generalize: null });
    await stage.db.operations.update(operation.id, { diskTouched: true, report: { bytes_written: 1 } });
    await stage.db.nodes.update(other.id, { bootBack: 'pending', powerOffDue: 'ramdisk', powerStateBefore: 'power on', bootNonceHash: 'second lookup from 10.77.0.66' });
    await settleOperation({ parts, node: await stage.db.nodes.get(other.id), user: 'system' });
    expect(await stage.db.nodes.get(other.id)).toMatchObject({ powerState: 'power off', lastError: expect.stringContaining('The disk may hold a part of the image only') });
  });
});

describe('a heartbeat', () => {
  const beat = (url: string, peer: string, token: string): Promise<void> => workflow.heartbeat(node.uuid, { callback_url: url, agent_token: token }, peer);

  test('is taken from an agent that wants to be called back where it calls from, and from there only', async () => {
    const answer = await lookup(nonce);
    await expect(beat('https://10.77.0.99:9999', PEER, answer!.agentToken)).rejects.toThrow('callback_url: expected the address that the heartbeat came from (10.77.0.5)');
    expect((await current()).agentUrl).toBeNull();
    await beat(`https://${PEER}:9999`, `::ffff:${PEER}`, answer!.agentToken);
    expect((await current()).agentUrl).toBe(`https://${PEER}:9999`);
  });

  test('is taken from one in a network that the configuration names', async () => {
    parts = Object.create(parts, { callbackNetworks: { value: ['10.99.0.0/16'] } }) as WorkflowParts;
    workflow = new ConductorWorkflow(parts);
    const answer = await lookup(nonce);
    await beat('https://10.99.3.4:9999', PEER, answer!.agentToken);
    expect((await current()).agentUrl).toBe('https://10.99.3.4:9999');
  });
});
