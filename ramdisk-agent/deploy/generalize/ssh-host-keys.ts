import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GeneralizedItem } from '../../../protocol/deploy-commands.ts';
import { runProgram } from '../../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../../capture/child-environment.ts';
import type { GuestTree } from './guest-tree.ts';

const DIRECTORY = 'etc/ssh';
const KEYGEN_TIMEOUT_MS = 60_000;
/** Types that ssh-keygen(1) makes. */
const KEY_TYPES = new Set(['rsa', 'ecdsa', 'ed25519']);

/**
 * New SSH host keys of the types that are there; certificates of the old ones, and keys of types that nobody makes any more,
 * are removed. @throws OperationFailedError when ssh-keygen is missing or fails.
 */
export async function changeSshHostKeys(tree: GuestTree, hostname: string, scratchDirectory: string, signal: AbortSignal): Promise<GeneralizedItem[]> {
  const names = (await tree.list(DIRECTORY)).filter((name) => name.startsWith('ssh_host_'));
  const items: GeneralizedItem[] = [];
  for (const name of names) {
    const type = /^ssh_host_(.+)_key$/.exec(name)?.[1];
    if (type === undefined) continue;
    const path = `${DIRECTORY}/${name}`;
    const item = { item: `SSH host key (${type})`, where: `/${path} on ${tree.place}` };
    await tree.remove(`${path}-cert.pub`);
    if (KEY_TYPES.has(type) && (await tree.isFile(path))) {
      const fingerprint = await changeKey(tree, path, { type, hostname, scratchDirectory }, signal);
      items.push({ ...item, outcome: 'changed', note: fingerprint });
    } else {
      await tree.remove(path);
      await tree.remove(`${path}.pub`);
      items.push({ ...item, outcome: 'removed', note: KEY_TYPES.has(type) ? 'it was no file of its own' : 'keys of this type are not made any more' });
    }
  }
  return items.length > 0 ? items : [{ item: 'SSH host keys', where: `/${DIRECTORY} on ${tree.place}`, outcome: 'kept', note: 'there are none' }];
}

/** Returns the new key's fingerprint. */
async function changeKey(tree: GuestTree, path: string, key: { type: string; hostname: string; scratchDirectory: string }, signal: AbortSignal): Promise<string> {
  const made = join(key.scratchDirectory, 'key');
  const options = { timeoutMs: KEYGEN_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT };
  try {
    await runProgram('ssh-keygen', ['-q', '-t', key.type, '-N', '', '-C', `root@${key.hostname}`, '-f', made], options);
    await tree.write(path, await readFile(made, 'utf8'), 0o600);
    await tree.write(`${path}.pub`, await readFile(`${made}.pub`, 'utf8'), 0o644);
    const { stdout } = await runProgram('ssh-keygen', ['-l', '-f', `${made}.pub`], options);
    return `a new one: ${stdout.split(' ')[1] ?? ''}`;
  } finally {
    await Promise.all([made, `${made}.pub`].map((file) => rm(file, { force: true })));
  }
}
