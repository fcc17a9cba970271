import { describe, expect, test } from '@jest/globals';
import { INTENTIONS, type EventType, type Intention, type ProvisionState } from '../../../state-machine/provision-machine.ts';
import { TRANSITIONS } from '../../../state-machine/provision-transitions.ts';
import { stepFrom } from '../../../state-machine/provision-states.ts';
import { acceptedEvent } from '../../model/paths.ts';

/** What has to be done after a transition; a transition that is not named here needs nothing. */
const DONE_AFTER: readonly (readonly [from: ProvisionState, event: EventType, intention: Intention])[] = [
  ['enroll', 'manage', 'verify'],
  ['manageable', 'provide', 'clean'],
  ['manageable', 'clean', 'clean'],
  ['manageable', 'adopt', 'adopt'],
  ['adopt failed', 'adopt', 'adopt'],
  ['available', 'deploy', 'deploy'],
  ['deploying', 'fail', 'stopDeploy'],
  ['wait call-back', 'resume', 'continueDeploy'],
  ['wait call-back', 'fail', 'stopDeploy'],
  ['wait call-back', 'delete', 'tearDown'],
  ['deploy failed', 'rebuild', 'deploy'],
  ['deploy failed', 'deploy', 'deploy'],
  ['deploy failed', 'delete', 'tearDown'],
  ['active', 'rebuild', 'deploy'],
  ['active', 'delete', 'tearDown'],
  ['active', 'snapshot', 'startSnapshot'],
  ['snapshotting', 'fail', 'settleSnapshot'],
  ['snapshot wait', 'resume', 'continueSnapshot'],
  ['snapshot wait', 'fail', 'settleSnapshot'],
  ['snapshot wait', 'abort', 'settleSnapshot'],
  ['snapshot wait', 'delete', 'tearDown'],
  ['snapshot failed', 'snapshot', 'startSnapshot'],
  ['snapshot failed', 'delete', 'tearDown'],
  ['deleting', 'clean', 'clean'],
  ['cleaning', 'fail', 'stopClean'],
  ['clean wait', 'resume', 'continueClean'],
  ['clean wait', 'fail', 'stopClean'],
  ['clean wait', 'abort', 'stopClean'],
  ['error', 'rebuild', 'deploy'],
  ['error', 'delete', 'tearDown'],
];

describe('after a transition the conductor is told to do', () => {
  test.each(DONE_AFTER)('in %s on %s: %s', (from, event, intention) => {
    expect(stepFrom(from, acceptedEvent(event))?.intentions).toEqual([intention]);
  });

  test('nothing after any other', () => {
    const others = TRANSITIONS.filter(({ from, event }) => !DONE_AFTER.some(([state, type]) => state === from && type === event));
    for (const { from, event } of others) expect([from, event, stepFrom(from, acceptedEvent(event))?.intentions]).toEqual([from, event, []]);
    expect(others).toHaveLength(TRANSITIONS.length - DONE_AFTER.length);
  });

  test('every intention somewhere', () => {
    expect(new Set(DONE_AFTER.map(([, , intention]) => intention))).toEqual(new Set(INTENTIONS));
  });
});
