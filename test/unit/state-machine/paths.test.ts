import { describe, expect, test } from '@jest/globals';
import { stepFrom } from '../../../state-machine/provision-states.ts';
import { TRANSITIONS } from '../../../state-machine/provision-transitions.ts';
import { coverTransitions } from '../../model/paths.ts';

describe('the generated paths', () => {
  const paths = coverTransitions();
  const steps = paths.flat();

  test('take every transition of the machine', () => {
    const taken = new Set(steps.map(({ from, event, to }) => `${from} on ${event.type} -> ${to}`));
    expect([...taken].sort()).toEqual(TRANSITIONS.map(({ from, event, to }) => `${from} on ${event} -> ${to}`).sort());
  });

  test.each(paths.map((path, index) => [`path ${index + 1}, ${path.length} steps`, path] as const))('lead a new node all the way: %s', (_name, path) => {
    let state = 'enroll';
    for (const step of path) {
      expect(step.from).toBe(state);
      state = stepFrom(step.from, step.event)?.to ?? 'refused';
      expect(state).toBe(step.to);
    }
  });

  test('are short enough to be driven over HTTP: no more than three steps for each transition', () => {
    expect(steps.length).toBeLessThanOrEqual(3 * TRANSITIONS.length);
  });
});
