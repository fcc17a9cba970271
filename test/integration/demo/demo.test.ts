import { expect, test } from '@jest/globals';
import { join } from 'node:path';
import { describeWhere } from '../../machine-needs.ts';
import { DIST } from '../../rig/dist.ts';
import { ProgramProcess } from '../../rig/program-process.ts';

describeWhere(['root', 'fuse', 'loop'], 'the demo', () => {
  test('takes a snapshot, proves it, restores a damaged disk from it, leaves nothing behind, and says so in one JSON object', async () => {
    const demo = new ProgramProcess('demo', join(DIST, 'demo/main.js'), ['--json']);
    try {
      const { code } = await demo.ended();
      expect({ code, text: code === 0 ? '' : demo.text }).toEqual({ code: 0, text: '' });
      expect(demo.lines.find((line) => 'identical' in line)).toMatchObject({ identical: true, os_hash_algo: 'sha512', os_hash_value: expect.stringMatching(/^[0-9a-f]{128}$/), provision_state: 'active', bytes: expect.any(Number), duration_s: expect.any(Number), downtime_s: expect.any(Number), image_id: expect.any(String), restore_duration_s: expect.any(Number) });
      expect(demo.text).toContain('no process, mount, loop device or file is left');
    } finally {
      if (demo.running) await demo.stop();
    }
  }, 300_000);
});
