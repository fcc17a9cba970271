import { describe, expect, test } from '@jest/globals';
import type { ProvisionState, StateTag } from '../../../state-machine/provision-machine.ts';
import { INITIAL_STATE, PROVISION_STATES, hasTag, isProvisionState, statesWith, stepFrom, targetOf } from '../../../state-machine/provision-states.ts';
import { TRANSITIONS } from '../../../state-machine/provision-transitions.ts';
import { acceptedEvent } from '../../model/paths.ts';
import { TARGETS } from './specification.ts';

/**
 * The states of each tag. Source: Ironic 21.4's sets, with the specification's states in them. Ironic deletes nodes in
 * DELETE_ALLOWED and, by its default configuration, available ones (in maintenance, any: that is the API's rule).
 */
const TAGGED: Readonly<Record<StateTag, readonly ProvisionState[]>> = {
  stable: ['enroll', 'manageable', 'available', 'active', 'error'],
  deletable: ['enroll', 'manageable', 'available', 'adopt failed'],
  failsOnRestart: ['verifying', 'adopting', 'deploying', 'snapshotting', 'deleting', 'cleaning'],
  lookup: ['deploying', 'wait call-back', 'snapshotting', 'snapshot wait', 'cleaning', 'clean wait'],
  heartbeat: ['wait call-back', 'snapshot wait', 'clean wait'],
  timed: ['wait call-back', 'snapshot wait', 'clean wait'],
  powerRefused: ['snapshotting', 'snapshot wait'],
};

describe('a state', () => {
  test.each(Object.entries(TAGGED) as [StateTag, ProvisionState[]][])('is tagged %s where Ironic has it so: %j', (tag, states) => {
    expect(statesWith(tag)).toEqual(PROVISION_STATES.filter((state) => states.includes(state)));
    expect(statesWith(tag)).toHaveLength(states.length);
  });

  test.each(Object.entries(TARGETS))('%s has the target %s', (state, target) => {
    if (!isProvisionState(state)) throw new Error(`${state} is not a state of the machine`);
    expect(targetOf(state)).toBe(target);
  });

  test('is one of the eighteen, and a node begins in enroll', () => {
    expect([...PROVISION_STATES].sort()).toEqual(Object.keys(TARGETS).sort());
    expect(PROVISION_STATES).toHaveLength(18);
    expect(INITIAL_STATE).toBe('enroll');
  });

  test.each(['', 'snapshot-wait', 'ACTIVE', 'constructor', '__proto__', 'rescue'])('is not %j', (text) => {
    expect(isProvisionState(text)).toBe(false);
  });

  test('is a literal type: a misspelt one does not compile', () => {
    const misspelt: ProvisionState extends infer State ? (string extends State ? 'any string' : 'a literal') : never = 'a literal';
    expect(misspelt).toBe('a literal');
  });
});

describe('tags and transitions agree', () => {
  const events = (state: ProvisionState): string[] => TRANSITIONS.filter(({ from }) => from === state).map(({ event }) => event);

  test.each(statesWith('failsOnRestart'))('a conductor that comes back can fail a node in %s', (state) => {
    expect(stepFrom(state, { type: 'fail' })).toBeDefined();
  });

  test.each(statesWith('timed'))('a node in %s can time out, and its heartbeat can go on', (state) => {
    expect(events(state)).toEqual(expect.arrayContaining(['fail', 'resume']));
    expect(hasTag(state, 'heartbeat')).toBe(true);
  });

  test.each(PROVISION_STATES)('%s can be left', (state) => {
    expect(TRANSITIONS.filter(({ from, event }) => from === state && stepFrom(from, acceptedEvent(event))?.to !== state)).not.toHaveLength(0);
  });

  test('no stable state ends by itself', () => {
    for (const state of statesWith('stable')) expect(events(state).filter((event) => ['done', 'fail', 'wait', 'resume'].includes(event))).toEqual([]);
  });
});
