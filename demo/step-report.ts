import { performance } from 'node:perf_hooks';

const TITLE_WIDTH = 32;

/** Numbered steps, a line each on standard error: what was done, how long it took, what came of it. */
export class StepReport {
  readonly #total: number;
  readonly #stream: NodeJS.WriteStream;
  #number = 0;

  constructor(total: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#total = total;
    this.#stream = stream;
  }

  say(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  /**
   * Does a step. `describe` says what came of it.
   * @param options.talks the step writes to the terminal itself, so its name gets a line of its own.
   */
  async step<T>(title: string, work: () => Promise<T>, describe: (result: T) => string = () => '', options: { talks?: boolean } = {}): Promise<T> {
    this.#number += 1;
    const head = `${String(this.#number).padStart(2)}/${this.#total}  ${title.padEnd(TITLE_WIDTH)}`;
    const live = this.#stream.isTTY && !options.talks;
    if (live) this.#stream.write(`${head} …`);
    const startedAt = performance.now();
    const end = (outcome: string): void => void this.#stream.write(`${live ? '\r\u001b[K' : ''}${head} ${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${outcome}`.trimEnd() + '\n');
    try {
      const result = await work();
      end(describe(result));
      return result;
    } catch (error) {
      end('failed');
      throw error;
    }
  }
}

export const formatBytes = (bytes: number): string => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${Math.round(bytes / 1e6)} MB`);
