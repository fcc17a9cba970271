import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** BMCs that are asked at once. */
const LIMIT = 16;

/**
 * Asks many BMCs side by side, up to a limit. Nobody waits for a round to end: a BMC that takes its whole deadline keeps one
 * place busy, and is not asked again meanwhile.
 */
export class BmcPool {
  readonly #parts: WorkflowParts;
  readonly #name: string;
  readonly #pending = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(parts: WorkflowParts, name: string) {
    this.#parts = parts;
    this.#name = name;
  }

  /** Starts `work` for each node that is not being asked already. */
  start(nodes: readonly NodeRow[], work: (node: NodeRow) => Promise<void>): void {
    for (const node of nodes) {
      if (this.#pending.has(node.id)) continue;
      this.#pending.add(node.id);
      this.#waiting.push(() => this.#run(node, work));
    }
    this.#next();
  }

  #next(): void {
    while (this.#running < LIMIT) {
      const begin = this.#waiting.shift();
      if (!begin) return;
      this.#running += 1;
      begin();
    }
  }

  #run(node: NodeRow, work: (node: NodeRow) => Promise<void>): void {
    this.#parts.background.start(`${this.#name} ${node.uuid}`, async () => {
      try {
        await work(node);
      } finally {
        this.#running -= 1;
        this.#pending.delete(node.id);
        this.#next();
      }
    });
  }
}
