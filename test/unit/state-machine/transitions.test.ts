import { describe, expect, test } from '@jest/globals';
import type { EventType } from '../../../state-machine/provision-machine.ts';
import { PROVISION_STATES, hasTransition, stepFrom } from '../../../state-machine/provision-states.ts';
import { TRANSITIONS } from '../../../state-machine/provision-transitions.ts';
import { acceptedEvent } from '../../model/paths.ts';
import { IRONIC_TRANSITIONS, MANUAL_CLEANING_TARGET, SNAPSHOT_TRANSITIONS, TARGETS, type Row } from './specification.ts';

const ALL: readonly Row[] = [...SNAPSHOT_TRANSITIONS, ...IRONIC_TRANSITIONS];
const EVENTS: readonly EventType[] = ['manage', 'provide', 'clean', 'adopt', 'deploy', 'rebuild', 'delete', 'snapshot', 'wait', 'resume', 'done', 'fail', 'abort'];
const UNDEFINED = PROVISION_STATES.flatMap((state) => EVENTS.filter((event) => !ALL.some(([from, type]) => from === state && type === event)).map((event) => [state, event] as const));

describe("the specification's snapshot transitions", () => {
  test('are eleven', () => {
    expect(SNAPSHOT_TRANSITIONS).toHaveLength(11);
  });

  test.each(SNAPSHOT_TRANSITIONS)('%s on %s becomes %s', (from, event, to) => {
    expect(stepFrom(from, acceptedEvent(event))).toMatchObject({ from, event, to, target: TARGETS[to] });
  });
});

describe("Ironic's transitions of the rest of a node's life", () => {
  test.each(IRONIC_TRANSITIONS)('%s on %s becomes %s', (from, event, to) => {
    const target = event === 'clean' && from === 'manageable' ? MANUAL_CLEANING_TARGET : TARGETS[to];
    expect(stepFrom(from, acceptedEvent(event))).toMatchObject({ from, event, to, target });
  });
});

describe('a cleaning by hand', () => {
  test('is bound for manageable through all its states', () => {
    let target = stepFrom('manageable', { type: 'clean' })?.target ?? null;
    for (const [from, event] of [['cleaning', 'wait'], ['clean wait', 'resume'], ['cleaning', 'wait'], ['clean wait', 'abort']] as const) {
      expect(target).toBe(MANUAL_CLEANING_TARGET);
      target = stepFrom(from, { type: event }, target)?.target ?? null;
    }
    expect(target).toBe(MANUAL_CLEANING_TARGET);
    expect(stepFrom('clean failed', { type: 'manage' }, target)?.target).toBeNull();
    expect(stepFrom('cleaning', { type: 'manage' }, target)?.target).toBeNull();
  });

  test('leaves no trace in the one that follows', () => {
    expect(stepFrom('manageable', { type: 'provide' }, MANUAL_CLEANING_TARGET)?.target).toBe('available');
    expect(stepFrom('deleting', { type: 'clean' }, 'available')?.target).toBe('available');
  });
});

describe('the machine', () => {
  test('has these transitions and no others', () => {
    const written = (rows: readonly Row[]): string[] => rows.map((row) => row.join(' | ')).sort();
    expect(written(TRANSITIONS.map(({ from, event, to }) => [from, event, to] as const))).toEqual(written(ALL));
  });

  test.each(UNDEFINED)('in %s refuses %s', (state, event) => {
    expect(stepFrom(state, acceptedEvent(event))).toBeUndefined();
    expect(hasTransition(state, event)).toBe(false);
  });

  test('answers every defined or undefined pair of state and event', () => {
    expect(UNDEFINED.length + ALL.length).toBe(PROVISION_STATES.length * EVENTS.length);
    expect(new Set(TRANSITIONS.map(({ event }) => event))).toEqual(new Set(EVENTS));
  });
});

describe('an abort of a failed snapshot', () => {
  test.each([[{ type: 'abort' as const }], [{ type: 'abort' as const, bootedBack: false }]])('is refused while the server is not known to run as before: %j', (event) => {
    expect(stepFrom('snapshot failed', event)).toBeUndefined();
  });

  test('is a verb of that state all the same, so that the refusal is not "wrong state"', () => {
    expect(hasTransition('snapshot failed', 'abort')).toBe(true);
  });

  test('reports active once the server runs as before', () => {
    expect(stepFrom('snapshot failed', { type: 'abort', bootedBack: true })?.to).toBe('active');
  });
});

describe('other aborts', () => {
  test.each([['snapshot wait', 'snapshot failed'], ['clean wait', 'clean failed']] as const)('in %s need no such proof and lead to %s', (from, to) => {
    expect(stepFrom(from, { type: 'abort' })?.to).toBe(to);
  });
});
