import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';

/** Runs its arguments in a network namespace of their own, which has loopback and nothing else, and is gone with the last of its processes. */
const COMMAND = ['unshare', '--net', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'own-network'];

/**
 * What has to stand before a command for it to have a network of its own, and the present network's name in /proc. Where the
 * machine does not allow it (not root, a container without the right to it), nothing: the tests see it and say so.
 */
export function ownNetwork() {
  const [program, ...args] = COMMAND;
  const { status } = spawnSync(program, [...args, 'true'], { stdio: 'ignore' });
  return { command: status === 0 ? COMMAND : [], host: readlinkSync('/proc/self/ns/net') };
}
