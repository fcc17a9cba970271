import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Duplex, Writable } from 'node:stream';
import { OperationFailedError } from './errors.ts';
import { SYSTEM_PATH } from './program.ts';

const ARGUMENTS = {
  /** Fast: it must not be slower than the disk. */
  compress: ['--compress', '-3', '--threads=2'],
  /** More memory than this a sender's window may not take. */
  decompress: ['--decompress', '--memory=64MB'],
} as const;

/**
 * What is written to it comes out compressed, or as it was before, by Debian's `zstd`: Node 20 has none. The program ends with
 * the stream, whatever way that ends.
 */
export function createZstdStream(direction: keyof typeof ARGUMENTS): Duplex {
  const child = spawn('zstd', [...ARGUMENTS[direction], '--stdout', '--quiet', '--no-progress'], { env: { PATH: SYSTEM_PATH, LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(0, 500)));
  const ended = once(child, 'close') as Promise<[number | null]>;
  ended.catch(() => undefined); // told below
  child.stdin.on('error', () => undefined); // it has ended: why, it says itself
  const problem = async (): Promise<Error> => {
    const [exitCode] = await ended;
    return new OperationFailedError(`zstd can not ${direction} the image: ${said.trim() || `it ended with ${exitCode ?? 'a signal'}`}`);
  };
  const input = new Writable({
    highWaterMark: 1024 * 1024,
    write: (chunk: Buffer, _encoding, done) => void child.stdin.write(chunk, (error) => (error ? void problem().then(done, done) : done())),
    final: (done) => void child.stdin.end(done),
  });
  async function* output(): AsyncGenerator<Buffer, void, undefined> {
    yield* child.stdout as AsyncIterable<Buffer>;
    const [exitCode] = await ended;
    if (exitCode !== 0) throw await problem();
  }
  const duplex = Duplex.from({ writable: input, readable: output() });
  duplex.once('close', () => child.kill('SIGKILL'));
  child.once('error', (error) => duplex.destroy(new OperationFailedError(`zstd can not be run, which compressed images need: ${error.message}. Install the package zstd.`, {}, error)));
  return duplex;
}
