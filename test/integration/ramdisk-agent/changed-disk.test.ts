import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROBE_LIMIT_BYTES } from '../../../protocol/image-stream.ts';
import { describeWhere } from '../../machine-needs.ts';
import { AgentStage } from './agent-stage.ts';
import { LoopDisk } from './loop-disk.ts';

const MIB = 1024 ** 2;

describeWhere(['root', 'loop'], 'a disk that something else writes to', () => {
  test('fails the capture that has left something of it out, before the share takes the image', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-disk-'));
    const disk = await LoopDisk.create(directory, PROBE_LIMIT_BYTES + 32 * MIB);
    const stage = await AgentStage.start({ device: disk.device });
    try {
      stage.relay.holdAfter(PROBE_LIMIT_BYTES + 8 * MIB); // whatever the measurement of the link takes of it, the image does not pass
      const id = await stage.capture({ method: 'stream' });
      await stage.phase(id, 'streaming', true);
      execFileSync('tune2fs', ['-L', 'renamed', `${disk.imagePath}?offset=${4096 * 512}`]); // past whatever the device has cached
      stage.relay.breakConnections(); // the second attempt comes through
      const { command_status: status, command_error: error } = await stage.ended(id);
      expect(status).toBe('FAILED');
      expect(error?.message).toMatch(/partition 2 of .* changed while it was captured/);
      expect(await stage.share.received(stage.snapshotUuid, stage.imageName)).toBeNull();
    } finally {
      await stage.close();
      await disk.detach();
      await rm(directory, { recursive: true, force: true });
    }
  }, 180_000);
});
