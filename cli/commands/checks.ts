import type { JsonObject } from '../../protocol/json.ts';
import { isObject } from '../api-error.ts';
import type { Output } from '../output.ts';

/** Prints `{name: {result, reason?}}` as a list whose first column has this heading, and returns the names of those that did not pass: anything but `true`. */
export function printChecks(output: Output, checks: JsonObject, heading: string): string[] {
  const rows = Object.entries(checks)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, check]) => ({ name, result: isObject(check) ? check.result : null, reason: isObject(check) ? (check.reason ?? null) : null }));
  output.rows(rows, ['name', 'result', 'reason'], { name: heading });
  return rows.filter(({ result }) => result !== true).map(({ name }) => name);
}
