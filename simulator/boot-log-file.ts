import { createWriteStream, type WriteStream } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Readable } from 'node:stream';

const LIMIT_BYTES = 4 * 1024 * 1024;
/** Log files kept per machine. */
const KEPT_FILES = 20;

/** What a boot wrote to its console: a file of bounded size; the rest is read and dropped, so that the writer never blocks. */
export class BootLogFile {
  readonly path: string;
  readonly #file: WriteStream;
  #bytes = 0;

  private constructor(path: string) {
    this.path = path;
    this.#file = createWriteStream(path, { mode: 0o600 });
  }

  /** Opens `boot-NNNN.log` in `directory` and removes the oldest above the limit. */
  static async open(directory: string, bootNumber: number): Promise<BootLogFile> {
    const logs = (await readdir(directory)).filter((name) => /^boot-\d+\.log$/.test(name)).sort();
    for (const name of logs.slice(0, Math.max(0, logs.length - KEPT_FILES + 1))) await rm(join(directory, name), { force: true });
    return new BootLogFile(join(directory, `boot-${String(bootNumber).padStart(4, '0')}.log`));
  }

  follow(output: Readable): void {
    output.on('data', (piece: Buffer) => this.write(piece));
  }

  write(piece: Buffer | string): void {
    if (this.#bytes > LIMIT_BYTES) return;
    this.#bytes += piece.length;
    this.#file.write(this.#bytes > LIMIT_BYTES ? '\n[the rest of this log was dropped]\n' : piece);
  }

  async close(): Promise<void> {
    this.#file.end();
    await finished(this.#file);
  }
}
