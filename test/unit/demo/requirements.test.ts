import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { findMissing } from '../../../demo/requirements.ts';

test('what the demo needs and does not find is said in sentences that tell what to do', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'empty-path-'));
  try {
    const sentences = await findMissing({ virtual: false, path: empty, userId: 1000 });
    expect(sentences[0]).toMatch(/must run as root.*sudo/);
    expect((await findMissing({ virtual: true, path: empty, userId: 1000 }))[1]).toMatch(/qemu-system-x86_64.*apt-get install .*qemu-system-x86 dnsmasq-base/);
    expect(sentences[1]).toMatch(/Missing: qemu-img, mount\.davfs, .*apt-get install qemu-utils davfs2 fdisk e2fsprogs/);
  } finally {
    await rm(empty, { recursive: true });
  }
});
