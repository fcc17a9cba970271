import { runInNewContext } from 'node:vm';

/** What the work returns. Work that blocks the process for 20 s, as a runaway pattern does, is broken off: no timer of a test could. */
export const bounded = <T>(work: () => T): T => runInNewContext('work()', { work }, { timeout: 20_000 }) as T;
