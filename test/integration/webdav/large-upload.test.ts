import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ServedShare, type Guest } from '../../unit/webdav/served-share.ts';

const MIB = 1024 * 1024;
/** What a stream with a buffer of 1 MiB has no reason to exceed, with a garbage collector that is in no hurry. */
const GROWTH_LIMIT_BYTES = 200 * MIB;

/** Uploads with a client in a process of its own: only the share's memory is in ours. @returns its exit code. */
async function upload(guest: Guest, file: string, name: string, headers: string): Promise<number | null> {
  const curl = spawn('curl', ['--silent', '--fail', '--config', '-', '--header', headers, '--upload-file', file, `${guest.url}${name}`], { stdio: ['pipe', 'ignore', 'inherit'] });
  curl.stdin.end(`user = "${guest.username}:${guest.password}"\n`);
  const [exitCode] = (await once(curl, 'close')) as [number | null];
  return exitCode;
}

test.each([
  ['of known length', 'X-Length: known'],
  ['chunked', 'Transfer-Encoding: chunked'],
])('1 GiB %s passes without growing the process', async (_case, headers) => {
  const served = await ServedShare.start();
  let peakBytes = 0;
  const sampler = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage().rss)), 20);
  try {
    const guest = await served.invite(2048 * MIB);
    const file = join(served.directory, 'source');
    await writeFile(file, '');
    await truncate(file, MIB);
    expect(await upload(guest, file, 'warm-up', headers)).toBe(0);
    await truncate(file, 1024 * MIB);
    const beforeBytes = process.memoryUsage().rss;
    expect(await upload(guest, file, 'disk.qcow2', headers)).toBe(0);
    expect((await served.share.received(guest.uuid, 'disk.qcow2'))?.sizeBytes).toBe(1024 * MIB);
    expect(peakBytes - beforeBytes).toBeLessThan(GROWTH_LIMIT_BYTES);
  } finally {
    clearInterval(sampler);
    await served.stop();
  }
}, 120_000);
