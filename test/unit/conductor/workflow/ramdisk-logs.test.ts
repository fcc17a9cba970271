import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RamdiskLogs, type RamdiskLogsOptions } from '../../../../conductor/workflow/ramdisk-logs.ts';
import type { CommandReport } from '../../../../protocol/agent-api.ts';
import { OperationFailedError } from '../../../../protocol/errors.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { makeNode } from '../../../contract/power/driver-task.ts';

const node = makeNode();
const archive = gzipSync('the tar of the logs');
const { signal } = new AbortController();

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-logs-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** An agent that answers the command so. */
function logsOf(answer: () => CommandReport['command_result'], given: Partial<RamdiskLogsOptions> = {}): { logs: RamdiskLogs; commands: string[] } {
  const commands: string[] = [];
  const agent = {
    execute: async (_node: unknown, name: string): Promise<CommandReport> => {
      commands.push(name);
      return { id: '1', command_name: name, command_status: 'SUCCEEDED', command_error: null, command_result: answer() };
    },
  };
  return { logs: new RamdiskLogs({ collect: 'on_failure', directory: join(directory, 'deploy-logs'), kept: 2, ...given }, agent, createLogger('test', 'silent')), commands };
}
const whole = (): CommandReport['command_result'] => ({ system_logs: archive.toString('base64') });
const kept = (): Promise<string[]> => readdir(join(directory, 'deploy-logs'));

describe('the logs of a ramdisk', () => {
  test('whose work has failed are a file of the conductor\'s user alone, named for node, work and time', async () => {
    const work = randomUUID();
    const { logs, commands } = logsOf(whole);
    const name = await logs.keep(node, work, { failed: true, signal });
    expect(name).toMatch(new RegExp(`^${node.uuid}_${work}_\\d{4}-\\d\\d-\\d\\d-\\d\\d-\\d\\d-\\d\\d\\.tar\\.gz$`));
    expect(commands).toEqual(['log.collect_system_logs']);
    const file = join(directory, 'deploy-logs', name!);
    expect(await readFile(file)).toEqual(archive);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'deploy-logs'))).mode & 0o777).toBe(0o700);
    expect(await kept()).toEqual([name]);
  });

  test.each<[RamdiskLogsOptions['collect'], boolean, boolean]>([
    ['on_failure', false, false],
    ['on_failure', true, true],
    ['always', false, true],
    ['always', true, true],
    ['never', true, false],
  ])('are asked for when they are to be kept: %s, work failed: %s', async (collect, failed, expected) => {
    const { logs, commands } = logsOf(whole, { collect });
    expect((await logs.keep(node, randomUUID(), { failed, signal })) !== null).toBe(expected);
    expect(commands).toHaveLength(expected ? 1 : 0);
  });

  test('are kept up to the number for each node, the newest; what else lies there is left alone', async () => {
    const { logs } = logsOf(whole);
    await logs.keep(node, randomUUID(), { failed: true, signal });
    const older = ['2001-01-01-00-00-00', '2002-01-01-00-00-00'].map((time) => `${node.uuid}_${randomUUID()}_${time}.tar.gz`);
    const others = [`${randomUUID()}_${randomUUID()}_2000-01-01-00-00-00.tar.gz`, `${node.uuid}_notes.txt`];
    for (const name of [...older, ...others]) {
      await writeFile(join(directory, 'deploy-logs', name), 'x');
      await utimes(join(directory, 'deploy-logs', name), 4e9, 4e9); // the name counts, not what copying makes of the file's time
    }
    const newest = await logs.keep(node, randomUUID(), { failed: true, signal });
    const left = await kept();
    expect(left).toHaveLength(4);
    expect(left).toEqual(expect.arrayContaining([newest, ...others]));
    for (const name of older) expect(left).not.toContain(name);
  });

  test.each<[string, () => CommandReport['command_result']]>([
    ['does not know the command', () => { throw new OperationFailedError('no extension log'); }],
    ['answers nothing', () => null],
    ['answers no base64', () => ({ system_logs: '&&&' })],
    ['answers emptiness', () => ({ system_logs: '' })],
  ])('of an agent that %s are none, and nothing fails', async (_case, answer) => {
    expect(await logsOf(answer).logs.keep(node, randomUUID(), { failed: true, signal })).toBeNull();
  });

  test('that can not be stored fail nothing, and leave nothing half-written', async () => {
    await writeFile(join(directory, 'a-file'), 'x');
    expect(await logsOf(whole, { directory: join(directory, 'a-file') }).logs.keep(node, randomUUID(), { failed: true, signal })).toBeNull();
    expect(await readdir(directory)).toEqual(['a-file']);
  });
});
