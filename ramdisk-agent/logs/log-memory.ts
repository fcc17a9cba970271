/** The latest lines of a log, in memory, up to a size. */
export class LogMemory {
  readonly #limitBytes: number;
  #lines: string[] = [];
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  add(line: string): void {
    this.#lines.push(line);
    this.#sizeBytes += Buffer.byteLength(line);
    if (this.#sizeBytes <= this.#limitBytes) return;
    let forgotten = 0;
    // a tenth more than needed, so that a full memory does not move all its lines for each new one
    while (this.#sizeBytes > this.#limitBytes * 0.9) this.#sizeBytes -= Buffer.byteLength(this.#lines[forgotten++] ?? '');
    this.#lines = this.#lines.slice(forgotten);
  }

  get text(): string {
    return this.#lines.join('');
  }
}
