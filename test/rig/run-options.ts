import { readlinkSync } from 'node:fs';

/** What scripts/test.mjs tells the tests of `npm run test:system` (jest's `globals`); nothing in any other run. */
interface RunOptions {
  /** The network namespace from which the run was started, as its link in /proc reads. */
  hostNetwork?: string;
  /** `--all`: every case of the matrix instead of the chosen few. */
  fullMatrix?: boolean;
}
const options = (globalThis as { systemRun?: RunOptions }).systemRun ?? {};

export const FULL_MATRIX = options.fullMatrix === true;

/** Whether these tests have a network of their own, apart from that of the host. */
export const inOwnNetwork = (): boolean => options.hostNetwork !== undefined && readlinkSync('/proc/self/ns/net') !== options.hostNetwork;
