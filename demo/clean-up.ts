/** What has to be undone, in the reverse order of its doing, each of it whatever happens to the others. */
export class CleanUp {
  readonly #steps: { name: string; undo: () => Promise<void> }[] = [];

  add(name: string, undo: () => Promise<void>): void {
    this.#steps.push({ name, undo });
  }

  /** Undoes everything; a second call has nothing left to do. Returns what went wrong, a line each. */
  async run(): Promise<string[]> {
    const problems: string[] = [];
    for (;;) {
      const step = this.#steps.pop();
      if (!step) return problems;
      try {
        await step.undo();
      } catch (error) {
        problems.push(`${step.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}
