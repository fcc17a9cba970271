/** What the conductor makes of an agent's reports while the capture runs. */
import { expect, test } from '@jest/globals';
import type { SnapshotRow } from '../../../../conductor/db/rows.ts';
import type { SnapshotTask } from '../../../../conductor/drivers/interfaces.ts';
import { createAgentSnapshotDriver } from '../../../../conductor/drivers/snapshot/agent.ts';

const PREDICTED = { image_bytes: 5_000, read_bytes: 4_000, disk_bytes_per_s: 10, link_bytes_per_s: null, duration_s: 9_000 };

test('what was predicted of a stream ends no capture that went on through the mount', async () => {
  const snapshot = { commandId: 'c', phase: 'streaming', options: { max_downtime: 100 }, poweredOffAt: new Date(), step: 'scanning', bytesDone: 0, bytesTotal: 0, prediction: null } as unknown as SnapshotRow;
  let report: Record<string, unknown> = {};
  const task = {
    snapshot,
    agent: { status: () => Promise.resolve({ command_status: 'RUNNING', command_result: report }) },
    saveSnapshot: (patch: Partial<SnapshotRow>) => Promise.resolve(void Object.assign(snapshot, patch)),
  } as unknown as SnapshotTask;
  const driver = createAgentSnapshotDriver({} as Parameters<typeof createAgentSnapshotDriver>[0]);
  report = { phase: 'streaming', bytes_done: 0, bytes_total: 5_000, prediction: PREDICTED };
  await expect(driver.poll(task)).rejects.toThrow(/would be down for 9000/);
  report = { phase: 'converting', bytes_done: 0, bytes_total: 5_000 };
  expect(await driver.poll(task)).toBe('wait');
  expect(snapshot.prediction).toBeNull();
});
