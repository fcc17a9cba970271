import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { Service, type ServiceOptions } from '../../../demo/service.ts';

let work: string;
let unexpected: Error[];
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'service-test-'));
  unexpected = [];
});
afterEach(() => rm(work, { recursive: true, force: true }));

const start = (program: string, more: Partial<ServiceOptions<string>> = {}): Promise<Service<string>> =>
  Service.start({
    name: 'thing',
    args: ['-e', program, work],
    logFile: join(work, 'log'),
    env: { PATH: process.env['PATH'] },
    readReady: (line) => /^ready (.*)/.exec(line)?.[1],
    onUnexpectedEnd: (error) => unexpected.push(error),
    ...more,
  });
const SERVE = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000); console.error("ready 17")';

describe('a service of the demo', () => {
  test('is started once it says that it is ready, logs to its file, and ends on request', async () => {
    const service = await start(SERVE);
    expect(service.ready).toBe('17');
    await service.stop();
    expect(await readFile(join(work, 'log'), 'utf8')).toBe('ready 17\n');
    expect(unexpected).toEqual([]);
  });

  test('one that fails at its start is reported with the end of its log', async () => {
    await expect(start('console.log("the reason"); process.exitCode = 4')).rejects.toThrow(/The thing ended with exit code 4.*the reason/s);
    expect(unexpected).toEqual([]);
  });

  test('one that ends by itself later is reported at once, and stopping it then is fine', async () => {
    let report: (error: Error) => void = () => undefined;
    const reported = new Promise<Error>((resolve) => (report = resolve));
    const service = await start('console.log("ready x"); process.once("SIGHUP", () => process.exit(5)); setInterval(() => {}, 1000); process.kill(process.pid, "SIGHUP")', { onUnexpectedEnd: (error) => report(error) });
    expect((await reported).message).toMatch(/ended by itself with exit code 5/);
    await service.stop();
  });

  test('one that was not wanted any more is not left running', async () => {
    const stop = new AbortController();
    const attempt = start(SERVE, {
      signal: stop.signal,
      readReady: (line) => {
        stop.abort(new Error('not wanted'));
        return line;
      },
    });
    await expect(attempt).rejects.toThrow('not wanted');
    expect(unexpected).toEqual([]);
    expect((await runProgram('pgrep', ['-f', `ready 17.*${work}`], { timeoutMs: 10_000, acceptedExitCodes: [0, 1] })).stdout).toBe('');
  });
});
