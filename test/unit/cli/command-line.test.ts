import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../../cli/commands/catalogue.ts';
import { parseCommandLine } from '../../../cli/command-line.ts';
import { EXIT, EXIT_CODE_MEANINGS } from '../../../cli/exit-code.ts';
import { VERSION } from '../../../cli/version.ts';
import { cli } from './service-of-tests.ts';

function parsed(...argv: string[]) {
  const result = parseCommandLine(argv, 100);
  if ('text' in result) throw new Error(`expected a command, got: ${result.text}`);
  return { words: result.command.words, args: result.args };
}

describe('options', () => {
  test('stand before or after the words of the command', () => {
    for (const argv of [['--os-endpoint', 'http://a', '-f', 'json', 'node', 'show', 'x'], ['node', '-f', 'json', 'show', 'x', '--os-endpoint', 'http://a']]) {
      const { words, args } = parsed(...argv);
      expect([words, args.text('node'), args.text('os-endpoint'), args.text('format')]).toEqual(['node show', 'x', 'http://a', 'json']);
    }
  });

  test('--wait has a number behind it or none; a word behind it is the node', () => {
    expect(parsed('node', 'manage', 'x', '--wait', '60').args.text('wait')).toBe('60');
    expect(parsed('node', 'manage', 'x', '--wait').args.text('wait')).toBe('');
    const { args } = parsed('node', 'manage', '--wait', 'x');
    expect([args.text('node'), args.text('wait')]).toEqual(['x', '']);
    expect(parsed('node', 'manage', 'x').args.text('wait')).toBeUndefined();
  });

  test('names of digits stay text', () => {
    const { args } = parsed('node', 'delete', '007', '1e3');
    expect(args.texts('node')).toEqual(['007', '1e3']);
    expect(parsed('node', 'set', '12', '--name', '0x10').args.text('name')).toBe('0x10');
  });

  test('that repeat take one value each, so that what follows is not swallowed', () => {
    const { args } = parsed('node', 'show', '-c', 'uuid', 'gold-1', '-c', 'name');
    expect([args.texts('column'), args.text('node')]).toEqual([['uuid', 'name'], 'gold-1']);
  });

  test('--fields takes words, commas, or both', () => {
    expect(parsed('node', 'show', 'x', '--fields', 'uuid', 'name,owner').args.fields('fields')).toEqual(['uuid', 'name', 'owner']);
  });

  test('come from the environment where they are not given', async () => {
    const { stderr } = await cli(['node', 'list', '--max-retries', '0'], { env: { OS_ENDPOINT: 'ftp://x' } });
    expect(stderr).toContain('OS_ENDPOINT');
  });
});

describe('help', () => {
  test.each(COMMANDS.map((command) => [command.words, command] as const))('of %s describes every option and shows examples and exit codes', async (words, command) => {
    const { exitCode, stdout, stderr } = await cli([...words.split(' '), '--help']);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toContain(command.summary.slice(0, 40));
    for (const [option, { describe: description }] of Object.entries(command.options ?? {})) {
      expect(stdout).toContain(`--${option}`);
      expect(description).not.toBe('');
    }
    expect(stdout).toContain('--os-endpoint');
    expect(command.examples.length).toBeGreaterThan(0);
    expect(stdout).toContain('Examples:');
    for (const meaning of Object.values(EXIT_CODE_MEANINGS)) expect(stdout).toContain(meaning);
  });

  test('every example is a command line that is understood', () => {
    for (const { words, examples } of COMMANDS) {
      for (const [line] of examples) {
        const plain = line.replace(/\$\(.*?\)/g, 'ID').replace(/ \|.*$/, '');
        const argv = [...plain.matchAll(/'([^']*)'|"([^"]*)"|[^\s'"]+(?:'([^']*)')?/g)].map(([all, single, double]) => single ?? double ?? all);
        expect([line, parsed(...argv).words]).toEqual([line, words]);
      }
    }
  });

  test('of the program lists the groups and the exit codes', async () => {
    const { stdout } = await cli(['--help']);
    for (const group of ['node', 'port', 'image', 'driver', 'conductor', 'completion']) expect(stdout).toContain(`baremetal ${group}`);
    for (const code of Object.values(EXIT)) expect(stdout).toMatch(new RegExp(`^ +${code}  \\S`, 'm'));
  });
});

test('exit codes and commands are documented', async () => {
  const manual = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
  for (const code of Object.values(EXIT)) expect(manual).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
  for (const { words } of COMMANDS) expect(manual).toContain(`\`${words}`);
});

test('--version is the version of the project', async () => {
  const project = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(VERSION).toBe(project.version);
  expect(await cli(['--version'])).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n` });
});

test('completion prints a script, and the words that fit', async () => {
  expect((await cli(['completion'])).stdout).toContain('complete -o bashdefault -o default -F _baremetal_yargs_completions baremetal');
  const { stdout } = await cli(['--get-yargs-completions', 'baremetal', 'node', 'power', '']);
  expect(stdout.split('\n')).toEqual(expect.arrayContaining(['on', 'off']));
});
