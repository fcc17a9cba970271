import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidParameterError } from '../../protocol/errors.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const isOperationUuid = (text: string): boolean => UUID.test(text);

/** A directory for each operation below one of ours, readable by our user only. What happens in one happens one after the other. */
export class OperationDirectories {
  readonly #root: string;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(root: string) {
    this.#root = root;
  }

  /** @throws InvalidParameterError when this is no uuid: it becomes part of a path. */
  path(operationUuid: string): string {
    if (!isOperationUuid(operationUuid)) throw new InvalidParameterError(`Expected the uuid of an operation, found "${operationUuid.slice(0, 80)}".`);
    return join(this.#root, operationUuid);
  }

  async makeRoot(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
  }

  /** An empty directory. */
  async makeAnew(operationUuid: string): Promise<string> {
    await this.makeRoot();
    await this.remove(operationUuid);
    const path = this.path(operationUuid);
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /** Nothing there: fine. */
  async remove(operationUuid: string): Promise<void> {
    await rm(this.path(operationUuid), { recursive: true, force: true });
  }

  /** The operations that have a directory. */
  async list(): Promise<string[]> {
    await this.makeRoot();
    return (await readdir(this.#root)).filter(isOperationUuid);
  }

  /** Does the work once nothing else is done for this operation. */
  inTurn<T>(operationUuid: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(operationUuid) ?? Promise.resolve()).then(work, work);
    this.#turns.set(operationUuid, turn);
    const release = (): void => {
      if (this.#turns.get(operationUuid) === turn) this.#turns.delete(operationUuid);
    };
    turn.then(release, release);
    return turn;
  }

  /** Resolves when nothing is done for any operation. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#turns.values());
  }
}
