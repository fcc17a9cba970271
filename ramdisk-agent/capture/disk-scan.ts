import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { OperationFailedError } from '../../protocol/errors.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';

const READ_BLOCK = '4M';

/**
 * Reads a disk from its beginning past the page cache, piece by piece; the caller may leave off at any point.
 * `dd iflag=direct` reads, because Node cannot align its buffers for O_DIRECT, and reading through the page cache is slower
 * and would take the memory that the image needs. It dies with us: its pipe is closed.
 * @throws OperationFailedError when the disk cannot be read or has another size.
 */
export async function* readDisk(device: string, sizeBytes: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  const child = spawn('dd', [`if=${device}`, `bs=${READ_BLOCK}`, 'iflag=direct', 'status=none'], { env: CHILD_ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
  const ended = once(child, 'close').catch((error: unknown) => [error]); // an aborted signal ends it with an error: told below
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  let readBytes = 0;
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      readBytes += chunk.length;
      yield chunk;
    }
    const [exitCode] = await ended;
    signal.throwIfAborted();
    if (exitCode !== 0 || readBytes !== sizeBytes) throw new OperationFailedError(`reading ${device}: expected ${sizeBytes} bytes, dd read ${readBytes}${said ? ` and said: ${said.trim()}` : ''}`, { device });
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}
