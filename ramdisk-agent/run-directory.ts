import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What the agent must find again after a restart: token, key, certificate, journal, records of what it has started.
 * The directory is 0700 and every file 0600. Writes are synchronous and atomic, because what is not stored before a step
 * cannot be cleaned up after a crash.
 */
export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700); // mkdir leaves the mode of a directory that was there already
  }

  /** Absolute path of a member; it need not exist. */
  pathOf(name: string): string {
    return join(this.path, name);
  }

  /** Text of a file, or null when there is none. */
  read(name: string): string | null {
    try {
      return readFileSync(this.pathOf(name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  write(name: string, text: string): void {
    const temporary = this.pathOf(`${name}.new`);
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: 0o600, flush: true });
    renameSync(temporary, this.pathOf(name));
  }

  remove(name: string): void {
    rmSync(this.pathOf(name), { force: true });
  }
}
