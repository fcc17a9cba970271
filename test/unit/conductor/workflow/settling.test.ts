import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { NodeRow, OperationRow } from '../../../../conductor/db/rows.ts';
import { learnFromAgent } from '../../../../conductor/drivers/deploy/agent-report.ts';
import type { OperationPatch, OperationTask } from '../../../../conductor/drivers/deployment.ts';
import { retryBootBacks } from '../../../../conductor/workflow/boot-back-retry.ts';
import { CaptureSlots } from '../../../../conductor/workflow/capture-slots.ts';
import { settleOperation } from '../../../../conductor/workflow/operation-workflow.ts';
import { continueSnapshot, settleSnapshot, startSnapshot } from '../../../../conductor/workflow/snapshot-workflow.ts';
import type { WorkflowParts } from '../../../../conductor/workflow/parts.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { until } from '../../../rig/until.ts';
import { WorkflowStage } from './workflow-stage.ts';

let stage: WorkflowStage;
let parts: WorkflowParts;
beforeEach(async () => {
  stage = await WorkflowStage.start({}, 3);
  // named by a session, used by no driver on this stage
  parts = Object.create(stage.parts, { agent: { value: {} }, operationLimits: { value: {} }, share: { value: {} }, images: { value: {} }, maxConcurrentCaptures: { value: 2 } }) as WorkflowParts;
});
afterEach(() => stage.close());

/** A rebuild that failed with a part of the image on the disk; its server was running before. */
async function failedRebuild(): Promise<{ node: NodeRow; operation: OperationRow }> {
  const node = await stage.machineNode();
  await stage.walk(node, ['rebuild', 'fail']);
  const operation = await stage.db.operations.create(node.id, { uuid: randomUUID(), kind: 'rebuild', requestedBy: 'alice', image: { source: 'x' }, generalize: null });
  await stage.db.operations.update(operation.id, { diskTouched: true });
  await stage.db.nodes.update(node.id, { bootBack: 'pending', powerOffDue: 'ramdisk', powerStateBefore: 'power on', powerState: 'power on', lastError: 'agent failed' });
  return { node: await stage.db.nodes.get(node.id), operation };
}

test.each(['before', 'after'] as const)('a settling that is cut short %s the end of its row boots no half-written disk', async (cut) => {
  const { node } = await failedRebuild();
  const { operations } = stage.db;
  const finish = operations.finish.bind(operations);
  operations.finish = async (...args) => {
    if (cut === 'after') await finish(...args);
    throw new Error('power cut');
  };
  await expect(settleOperation({ parts, node, user: 'system' })).rejects.toThrow('power cut');
  operations.finish = finish;
  await retryBootBacks(parts);
  const settled = await until('the node is settled', async () => {
    const found = await stage.db.nodes.get(node.id);
    return found.bootBack === null && found.reservation === null ? found : null;
  });
  expect(settled).toMatchObject({ powerState: 'power off', lastError: 'agent failed. The disk may hold a part of the image only and is not bootable: the server is switched off. Deploy or rebuild it again.' });
  expect(await stage.db.operations.unfinishedOf(node.id)).toBeNull();
  expect(stage.rack.machine('machine-0').bootLog).toEqual([]);
});

test('an agent that has written the whole image by the time that it is stopped is believed', async () => {
  const inventory = { disks: [], interfaces: [], cpu: { architecture: 'x86_64', count: 1, model_name: null }, memory: { total: 1 }, system_vendor: { manufacturer: null, product_name: null, serial_number: null }, boot: { current_boot_mode: 'bios' } };
  const disk = { name: '/dev/sda', serial: 'S', wwn: null, model: null, size_bytes: 1024, sector_size_bytes: 512 };
  const result = { disk, virtual_size_bytes: 1024, bytes_written: 1024, sha512: 'a'.repeat(128), backup_gpt: 'none', boot_entry: 'not needed', generalized: null, inventory, duration_s: 0 };
  const { operation } = await failedRebuild();
  const saved: OperationPatch[] = [];
  const task: Partial<OperationTask> = {
    operation: { ...operation, commandId: 'c1' },
    agent: { status: async () => ({ id: 'c1', command_name: 'write_image', command_status: 'SUCCEEDED', command_error: null, command_result: result }) } as unknown as OperationTask['agent'],
    signal: new AbortController().signal,
    log: createLogger('test', 'silent'),
    saveInventory: async () => undefined,
    saveOperation: async (patch) => void saved.push(patch),
  };
  await learnFromAgent(task as OperationTask);
  expect(saved).toMatchObject([{ device: disk, report: { bytes_written: 1024 } }]);
});

test('what is known of a ramdisk is void once its snapshot has ended, well or not', async () => {
  const slots = new CaptureSlots(parts);
  for (const end of ['done', 'failed'] as const) {
    const node = await stage.machineNode(end === 'done' ? 0 : 1);
    await stage.walk(node, ['snapshot']);
    const work = { parts, node, user: 'alice' };
    await startSnapshot(work, slots);
    await stage.db.nodes.update(node.id, { agentToken: 'token', agentUrl: 'https://127.0.0.1:1' });
    if (end === 'done') expect(await continueSnapshot(work, slots)).toEqual({ type: 'done' });
    else await settleSnapshot({ ...work, node: await stage.db.nodes.get(node.id) });
    expect((await stage.db.snapshots.latestOf(node.id))?.status).toBe(end);
    expect(await stage.db.nodes.get(node.id)).toMatchObject({ agentToken: null, agentUrl: null });
  }
});

test('snapshots that are asked for at once begin at once, as many as there are slots, the oldest first', async () => {
  const snapshots = [];
  for (const index of [0, 1, 2]) {
    const node = await stage.machineNode(index);
    await stage.walk(node, ['snapshot']);
    snapshots.push((await stage.db.snapshots.latestOf(node.id))!);
  }
  const slots = new CaptureSlots(parts);
  const [first, second, third] = snapshots as [(typeof snapshots)[0], (typeof snapshots)[0], (typeof snapshots)[0]];
  expect(await slots.claim(third)).toBe(false);
  expect(await slots.claim(second)).toBe(true);
  expect(await slots.claim(first)).toBe(true);
  expect(await slots.claim(third)).toBe(false);
});
