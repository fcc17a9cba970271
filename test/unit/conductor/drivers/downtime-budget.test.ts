import { expect, test } from '@jest/globals';
import { overBudget } from '../../../../conductor/drivers/snapshot/downtime-budget.ts';

type Snapshot = Parameters<typeof overBudget>[0];
const OFF_AT = new Date('2026-02-03T04:05:06.000Z');
const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({ options: { max_downtime: 100 }, poweredOffAt: OFF_AT, phase: 'streaming', step: 'scanning', bytesDone: 0, bytesTotal: 0, prediction: null, ...more });
const predicted = (durationS: number): Snapshot['prediction'] => ({ image_bytes: 5_000, read_bytes: 4_000, disk_bytes_per_s: 10, link_bytes_per_s: null, duration_s: durationS });
const after = (seconds: number): number => OFF_AT.getTime() + seconds * 1_000;

test('while nothing is predicted, the time that has passed since the power-off counts', () => {
  expect(overBudget(snapshot(), after(99))).toBeNull();
  expect(overBudget(snapshot(), after(101))).toBe('The server was down for 101.0 s and its capture had not ended: max_downtime allows 100 s. The capture was ended.');
});

test('a prediction that is too long is told at once, with all figures', () => {
  expect(overBudget(snapshot({ prediction: predicted(70) }), after(25))).toBeNull();
  expect(overBudget(snapshot({ prediction: predicted(70) }), after(35))).toBe(
    'The server would be down for 105.0 s: max_downtime allows 100 s, 35.0 s have passed; the agent predicted 70 s for an image of 5000 bytes. The capture was ended.',
  );
});

test('what was sent already is not expected again', () => {
  const half = { prediction: predicted(70), step: 'streaming', bytesDone: 2_500, bytesTotal: 5_000 };
  expect(overBudget(snapshot(half), after(60))).toBeNull();
  expect(overBudget(snapshot(half), after(70))).toMatch(/would be down for 105\.0 s/);
  expect(overBudget(snapshot({ ...half, bytesDone: 5_000 }), after(99))).toBeNull();
});

test('it counts from the first wait for the ramdisk to the end of the capture', () => {
  for (const phase of ['await ramdisk', 'boot device back', 'command', 'streaming'] as const) expect(overBudget(snapshot({ phase }), after(101))).not.toBeNull();
  for (const phase of ['queue', 'quiesce', 'verify', 'boot back', 'upload'] as const) expect(overBudget(snapshot({ phase }), after(101))).toBeNull();
});

test('without a limit, or for a server that was off before, there is nothing to keep', () => {
  expect(overBudget(snapshot({ options: {} }), after(1e6))).toBeNull();
  expect(overBudget(snapshot({ poweredOffAt: null }), after(1e6))).toBeNull();
});
