import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS, COMMAND_GROUPS } from '../../../cli/commands/catalogue.ts';
import { parseCommandLine } from '../../../cli/command-line.ts';
import { nearest } from '../../../cli/nearest.ts';
import { EXIT, EXIT_CODE_MEANINGS } from '../../../cli/exit-code.ts';
import { GLOBAL_OPTIONS } from '../../../cli/global-options.ts';
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
    for (const { title, commands } of COMMAND_GROUPS) {
      const section = stdout.slice(stdout.indexOf(`${title}:\n`)).split('\n\n')[0];
      for (const { words } of commands) expect(section).toContain(`\n  ${words} `);
    }
    for (const option of Object.keys(GLOBAL_OPTIONS)) expect(stdout).toContain(`--${option}`);
    for (const code of Object.values(EXIT)) expect(stdout).toMatch(new RegExp(`^ +${code}  \\S`, 'm'));
  });
});

describe('docs/cli.md', () => {
  const manual = readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8');

  test('has every exit code, command and global option', async () => {
    for (const code of Object.values(EXIT)) expect(await manual).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
    for (const { words } of COMMANDS) expect(await manual).toMatch(new RegExp(`\`${words}(?![\\w-])`));
    for (const option of Object.keys(GLOBAL_OPTIONS)) expect(await manual).toContain(`--${option}`);
  });

  test('has no command and no option that there is not', async () => {
    const table = (await manual).split('## Commands')[1]?.split('\n## ')[0] ?? '';
    const rows = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names]) => [...(names ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''));
    expect(rows.length).toBeGreaterThan(40);
    for (const row of rows) expect(COMMANDS.map(({ words }) => words).filter((words) => row === words || row.startsWith(`${words} `))).not.toEqual([]);
    const options = new Set([...Object.keys(GLOBAL_OPTIONS), 'help', 'version', ...COMMANDS.flatMap((command) => Object.keys(command.options ?? {}))]);
    for (const [, option] of (await manual).matchAll(/`--([a-z][a-z-]*)/g)) expect(options).toContain(option);
  });
});

test('--version is the version of the project', async () => {
  const project = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(VERSION).toBe(project.version);
  expect(await cli(['--version'])).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n` });
});

describe('a command line that is not understood is answered with what was probably meant', () => {
  test.each([
    ['nodes list', '"nodes" is no command; did you mean "node list"?'],
    ['node snapshto x', '"node snapshto" is no command; did you mean "node snapshot"?'],
    ['--os-endpoint http://x node lst', '"node lst" is no command; did you mean "node list"?'],
    ['node power up x', '"node power up" is no command; there are node power on, node power off'],
    ['node power', '"node power" needs one more word: on, off'],
    ['', 'a command is needed'],
    ['node list --provision-sate active', 'there is no option --provision-sate; did you mean --provision-state?'],
    ['node list --xyzzy', 'there is no option --xyzzy (see'],
    ['node show', '<node> (Name or UUID of the node) is missing'],
    ['node vif attach x', '<vif> (Name or UUID of the virtual interface) is missing'],
    ['node show a b', '"b" is one argument too many'],
    ['node create --name x', '--driver (Hardware type that controls the node) is missing'],
    ['node list --limit', '--limit needs a value'],
    ['node list -f xml', '--format expects one of table, json, value, got "xml"'],
    ['node boot device set x usb', '<device> expects one of bios, cdrom, disk, pxe, safe, wanboot, got "usb"'],
    ['node list --long --fields uuid', '--long and --fields exclude each other'],
  ])('%s', async (line, message) => {
    const { exitCode, stdout, stderr } = await cli(line.split(' ').filter(Boolean));
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`baremetal: ${message}`);
  });

  test('and, where the command is known, with how it is used', async () => {
    expect((await cli(['volume', 'connector', 'create'])).stderr).toContain('\nusage: baremetal volume connector create [options] --node <node> --type <type> --connector-id <connector-id>\n');
  });

  test.each([
    ['lst', 'list'],
    ['retsore', 'restore'],
    ['undep', 'undeploy'],
    ['x', undefined],
    ['frobnicate', undefined],
  ])('%s is near to %s', (word, meant) => {
    expect(nearest(word, ['list', 'show', 'restore', 'undeploy', 'deploy'])).toBe(meant);
  });
});
