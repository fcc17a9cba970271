/** What the conductor makes of an agent's reports while the capture runs. */
import { expect, test } from '@jest/globals';
import type { SnapshotDiskRow, SnapshotRow } from '../../../../conductor/db/rows.ts';
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

test.each([
  ['a stream, whose relay notes the digest while the agent is asked', { algo: 'aes-256-gmac', key: '0'.repeat(64), value: '1'.repeat(32) }, { osHashAlgo: 'sha512', osHashValue: 'ab' }],
  ['a file of the mount', { algo: 'sha512', value: '2'.repeat(128) }, { osHashAlgo: 'sha512', osHashValue: '2'.repeat(128) }],
])('a report that ends a capture takes nothing away that is known of the image: %s', async (_which, proof, digest) => {
  let disk = { position: 0, receivedBy: null, osHashAlgo: null, osHashValue: null } as unknown as SnapshotDiskRow;
  const save = (patch: Partial<SnapshotDiskRow>): void => void (disk = { ...disk, ...patch });
  const seen = disk; // as the conductor saw it when it began to ask
  const result = { image_name: 'i', size_bytes: 5, proof, virtual_size_bytes: 10, disk: { name: '/dev/sda', serial: null, wwn: null, model: null, size_bytes: 10, sector_size_bytes: 512 }, duration_s: 1 };
  const task = {
    snapshot: { commandId: 'c', phase: 'streaming', options: {}, disks: [seen] },
    agent: {
      status: () => {
        if (proof.algo !== 'sha512') save({ receivedBy: 'relay', osHashAlgo: 'sha512', osHashValue: 'ab' });
        return Promise.resolve({ command_status: 'SUCCEEDED', command_result: result });
      },
    },
    saveDisk: (_position: number, patch: Partial<SnapshotDiskRow>) => Promise.resolve(save(patch)),
  } as unknown as SnapshotTask;
  expect(await createAgentSnapshotDriver({} as Parameters<typeof createAgentSnapshotDriver>[0]).poll(task)).toBe('continue');
  expect(disk).toMatchObject({ sizeBytes: 5, proof, ...digest });
});
