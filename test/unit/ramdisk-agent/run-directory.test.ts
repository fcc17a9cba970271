import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { provideCertificate } from '../../../ramdisk-agent/certificate.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-run-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;

describe('the run directory', () => {
  test('is for the agent only: 0700 with files of 0600, also when it was there with other modes', async () => {
    const path = join(directory, 'run');
    await mkdir(path, { mode: 0o755 });
    await chmod(path, 0o755);
    const run = new RunDirectory(path);
    run.write('secret', 'one');
    await chmod(join(path, 'secret'), 0o644);
    run.write('secret', 'two');
    expect(await modeOf(path)).toBe(0o700);
    expect(await modeOf(join(path, 'secret'))).toBe(0o600);
    expect(run.read('secret')).toBe('two');
    expect(await readdir(path)).toEqual(['secret']);
  });

  test('has no text for a file that is not there', () => {
    const run = new RunDirectory(join(directory, 'run'));
    expect(run.read('nothing')).toBeNull();
    expect(() => run.remove('nothing')).not.toThrow();
  });
});

describe('the certificate', () => {
  test.each([
    ['192.0.2.7', 'IP Address:192.0.2.7'],
    ['machine.example', 'DNS:machine.example'],
    ['2001:db8::7', 'IP Address:2001:DB8:0:0:0:0:0:7'],
  ])('names %s', async (host, name) => {
    const { certificate } = await provideCertificate(new RunDirectory(directory), host);
    const parsed = new X509Certificate(certificate);
    expect(parsed.subjectAltName).toBe(name);
    expect(Date.parse(parsed.validFrom)).toBeLessThan(Date.now() - 20 * 86_400_000); // clocks of booting machines are wrong
  });

  test('stays the same over restarts, as long as the host does', async () => {
    const first = await provideCertificate(new RunDirectory(directory), '192.0.2.7');
    expect(await provideCertificate(new RunDirectory(directory), '192.0.2.7')).toEqual(first);
    expect(await provideCertificate(new RunDirectory(directory), '192.0.2.8')).not.toEqual(first);
    expect(await modeOf(join(directory, 'agent.key'))).toBe(0o600);
    expect(await modeOf(join(directory, 'agent.crt'))).toBe(0o600);
  });
});
