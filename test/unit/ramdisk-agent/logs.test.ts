import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { archiveLogs } from '../../../ramdisk-agent/logs/log-archive.ts';
import { LogMemory } from '../../../ramdisk-agent/logs/log-memory.ts';
import type { LogSource } from '../../../ramdisk-agent/logs/log-source.ts';
import { listRamdiskLogSources } from '../../../ramdisk-agent/logs/ramdisk-log-sources.ts';
import { hideSecrets } from '../../../ramdisk-agent/logs/secrets.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-logs-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const source = (name: string, text: string, limitBytes = 1_000_000): LogSource => ({ name, limitBytes, read: () => Promise.resolve(text) });

/** By tar(1): what an operator would use. */
async function unpack(archive: Buffer): Promise<Record<string, string>> {
  await writeFile(join(directory, 'logs.tar.gz'), archive);
  await runProgram('tar', ['-xzf', 'logs.tar.gz'], { cwd: directory, timeoutMs: 10_000 });
  const names = (await readdir(directory)).filter((name) => name !== 'logs.tar.gz');
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const)));
}

describe('the archive of logs', () => {
  test('holds each source under its name, of whatever length', async () => {
    const long = randomBytes(70_000).toString('hex');
    expect(await unpack(await archiveLogs([source('empty', ''), source('block', 'x'.repeat(512)), source('long', long), source('umlaut', 'Größe\n')], []))).toEqual({ empty: '', block: 'x'.repeat(512), long, umlaut: 'Größe\n' });
  });

  test('keeps the end of what is too long', async () => {
    expect(await unpack(await archiveLogs([source('log', 'the beginning, the end', 7)], []))).toEqual({ log: 'the end' });
  });

  test('says why something is missing: the rest is there', async () => {
    const broken: LogSource = { name: 'dmesg', limitBytes: 9, read: () => Promise.reject(new Error('dmesg is not installed')) };
    expect(await unpack(await archiveLogs([broken, source('log', 'text')], []))).toEqual({ 'dmesg.error': 'dmesg is not installed\n', log: 'text' });
  });

  test('has no secrets, wherever they stand', async () => {
    const [nonce, token] = ['nonce-Zm9vYmFy', 'token-0123456789'];
    const dmesg = `[0.0] Kernel command line: quiet ipa-api-url=http://192.0.2.1 metalshot-boot-nonce=${nonce} ipa-agent-token=${token}\n`;
    const files = await unpack(await archiveLogs([source('dmesg', dmesg), source('agent.log', `{"msg":"sent ${token} and ${nonce}"}\n`)], [nonce, token]));
    expect(files).toEqual({ dmesg: '[0.0] Kernel command line: quiet ipa-api-url=http://192.0.2.1 metalshot-boot-nonce=****** ipa-agent-token=******\n', 'agent.log': '{"msg":"sent ****** and ******"}\n' });
  });

  test('tells nothing of a system that is not the ramdisk', async () => {
    const files = await unpack(await archiveLogs(listRamdiskLogSources(), []));
    expect(Object.keys(files).sort()).toEqual(['cmdline.error', 'dmesg.error', 'ip-address.error', 'ip-route.error', 'lsblk.json.error', 'meminfo.error']);
    for (const text of Object.values(files)) expect(text).toMatch(/^this is not the Metalshot ramdisk/);
  });
});

describe('secrets', () => {
  test.each([
    ['metalshot-boot-nonce=abc quiet', 'metalshot-boot-nonce=****** quiet'],
    ['ipa-agent-token="a b" quiet', 'ipa-agent-token=****** quiet'],
    ['GET /v1/commands?agent_token=abc&wait=true', 'GET /v1/commands?agent_token=******&wait=true'],
    ['metalshot-boot-nonce= quiet', 'metalshot-boot-nonce= quiet'],
    ['no token was given', 'no token was given'],
  ])('%s', (text, hidden) => {
    expect(hideSecrets(text, [])).toBe(hidden);
  });

  test('that are too short to be any hide nothing', () => {
    expect(hideSecrets('a disk', ['', 'a'])).toBe('a disk');
  });
});

test('the memory of log lines keeps the latest, within its size', () => {
  const memory = new LogMemory(1_000);
  for (let number = 0; number < 10_000; number += 1) memory.add(`line ${number}\n`);
  expect(Buffer.byteLength(memory.text)).toBeLessThanOrEqual(1_000);
  expect(Buffer.byteLength(memory.text)).toBeGreaterThan(800);
  expect(memory.text).toMatch(/line 9998\nline 9999\n$/);
});
