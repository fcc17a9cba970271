import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { InvalidParameterError } from '../protocol/errors.ts';

/**
 * Makes this process the only conductor that works in the directory: a second one would clear the first one's locks and
 * remove its images. The claim is a socket in Linux's abstract name space, named for the directory itself (device and
 * inode): the kernel drops it when the process ends, however it ends.
 * @returns what lets go of the directory.
 * @throws InvalidParameterError when another process has it.
 */
export async function ownDirectory(directory: string): Promise<() => Promise<void>> {
  const { dev, ino } = await stat(directory);
  const claim = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    claim.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new InvalidParameterError(`state_directory: another conductor works in ${directory}; stop it, or give this one a directory of its own`, { directory }, error) : error);
    });
    claim.listen(`\0metalshot-conductor-${dev}-${ino}`, resolve);
  });
  return () => new Promise((resolve) => claim.close(() => resolve()));
}
