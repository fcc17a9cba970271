import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { DIST } from '../../rig/dist.ts';
import { ServiceOfTests } from '../../unit/cli/service-of-tests.ts';

const HOSTILE = '$(touch stolen); x';

let directory: string;
let service: ServiceOfTests;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cli-completion-'));
  await writeFile(join(directory, 'baremetal'), `#!/bin/sh\nexec '${process.execPath}' '${join(DIST, 'cli/main.js')}' "$@"\n`);
  await chmod(join(directory, 'baremetal'), 0o755);
  await writeFile(join(directory, 'script'), (await runProgram(join(directory, 'baremetal'), ['completion', 'bash'], { timeoutMs: 30_000 })).stdout);
  service = await ServiceOfTests.start(({ path }) => ({
    body: { nodes: [{ name: 'web-1' }, { name: 'web-2' }, { name: null, uuid: '5c2b1f04' }], images: [{ id: 'i', name: 'golden' }, { id: 'j', name: HOSTILE }], drivers: [{ name: path.includes('drivers') ? 'redfish' : '' }] },
  }));
});
afterAll(async () => {
  await service?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** What bash offers for the last of these words: it sources the script and calls the function that `complete` names. */
async function offered(words: string[], env: Record<string, string> = { OS_ENDPOINT: service.url, OS_IMAGE_ENDPOINT: service.url }, before = ''): Promise<string[]> {
  const script = `${before}
source ./script
[[ $(complete -p baremetal) =~ -F\\ ([a-z_]+)\\ baremetal ]] || exit 9
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"\${BASH_REMATCH[1]}" "$1" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await runProgram('bash', ['--norc', '-c', script, 'bash', 'baremetal', ...words], { timeoutMs: 30_000, cwd: directory, env: { PATH: `${directory}:/usr/bin:/bin`, ...env } });
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean);
}

describe('completion in bash', () => {
  test.each([
    ['the first word', ['no'], ['node']],
    ['words of a command', ['node', 're'], ['restore', 'rebuild', 'reboot', 'remove']],
    ['the third word', ['node', 'boot', 'device', ''], ['set', 'show']],
    ['words behind a global option and its value', ['--os-auth-type', 'none', 'volume', ''], ['connector', 'target']],
    ['an option of the command', ['node', 'deploy', 'x', '--gen'], ['--generalize']],
    ['an option of all commands', ['node', 'list', '--os-image'], ['--os-image-endpoint']],
    ['the choices of an option', ['node', 'list', '--format', ''], ['table', 'json', 'value']],
    ['the choices of an alias', ['node', 'list', '-f', 'j'], ['json']],
    ['the choices of a positional', ['node', 'boot', 'device', 'set', 'web-1', 'p'], ['pxe']],
    ['names of nodes', ['node', 'show', 'web'], ['web-1', 'web-2']],
    ['a second name where many are taken', ['node', 'delete', 'web-1', ''], ['web-1', 'web-2', '5c2b1f04']],
    ['names of images', ['node', 'restore', 'web-1', '--image', 'g'], ['golden']],
    ['names of drivers', ['node', 'create', '--driver', ''], ['redfish']],
    ['nothing behind the last argument', ['node', 'show', 'web-1', ''], []],
  ])('offers %s', async (_what, words, expected) => {
    expect(await offered(words)).toEqual(expected);
  });

  test('quotes a name that the shell would run', async () => {
    expect(await offered(['image', 'show', '$'])).toEqual(['\\$\\(touch\\ stolen\\)\\;\\ x']);
  });

  test('offers no names, and says nothing, when the service cannot be reached', async () => {
    expect(await offered(['node', 'show', ''], { OS_ENDPOINT: 'http://127.0.0.1:1' })).toEqual([]);
    expect(await offered(['node', 'show', ''], { OS_ENDPOINT: 'nonsense' })).toEqual([]);
  });

  test('works for an alias', async () => {
    const alias = `shopt -s expand_aliases; PATH=/usr/bin:/bin; eval "alias baremetal='${join(directory, 'baremetal')}'"\n`;
    expect(await offered(['node', 'sn'], {}, alias)).toEqual(['snapshot']);
  });
});
