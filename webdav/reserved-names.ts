import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MARKER_PREFIX = '.reserved-';

/**
 * Names that a LOCK has brought into being and no upload has filled yet (RFC 4918, 7.3). To clients they are empty files; on the
 * disk each is an empty marker beside the files. The markers outlive the conductor: after its restart davfs2 would
 * take a new file that is missing from the listing for deleted, and give up what it has in its cache.
 * Synchronous: one entry of a directory each, and no step may come in between.
 */
export class ReservedNames {
  readonly #directory: string;
  readonly #since = new Map<string, Date>();

  /** Reads what is there already. */
  constructor(directory: string) {
    this.#directory = directory;
    for (const entry of readdirSync(directory)) {
      if (entry.startsWith(MARKER_PREFIX)) this.#since.set(entry.slice(MARKER_PREFIX.length), statSync(join(directory, entry)).mtime);
    }
  }

  get size(): number {
    return this.#since.size;
  }

  names(): string[] {
    return [...this.#since.keys()];
  }

  /** Null: not reserved. */
  since(name: string): Date | null {
    return this.#since.get(name) ?? null;
  }

  add(name: string): void {
    writeFileSync(this.#marker(name), '', { mode: 0o600 });
    this.#since.set(name, statSync(this.#marker(name)).mtime);
  }

  /** Not reserved: nothing is done. */
  remove(name: string): void {
    if (this.#since.delete(name)) rmSync(this.#marker(name), { force: true });
  }

  #marker(name: string): string {
    return join(this.#directory, `${MARKER_PREFIX}${name}`);
  }
}
