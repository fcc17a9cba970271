/** What of a node's past decides, in the running system, which of its state's events can come next. The machine itself does not remember. */
import { provisionMachine, type EventType, type ProvisionEvent, type ProvisionState } from '../../state-machine/provision-machine.ts';
import { INITIAL_STATE, hasTag, stepFrom } from '../../state-machine/provision-states.ts';

export interface Situation {
  readonly state: ProvisionState;
  /** How often the work under way (a deployment, a snapshot, a cleaning) has gone on after a wait. */
  readonly resumes: number;
  /** The cleaning under way was asked for by the verb `clean`, with its steps; not by `provide` or after an undeployment. */
  readonly manual: boolean;
}

export const INITIAL_SITUATION: Situation = { state: INITIAL_STATE, resumes: 0, manual: false };

/** The ramdisk's first call, and the end of its command: a snapshot has these two waits, then it goes to its end. */
export const SNAPSHOT_WAITS = 2;

const WORKS: readonly (readonly ProvisionState[])[] = [
  ['deploying', 'wait call-back'],
  ['snapshotting', 'snapshot wait'],
  ['cleaning', 'clean wait'],
];

/** The event with the facts that make its guards hold. */
export const acceptedEvent = (type: EventType): ProvisionEvent => (type === 'abort' ? { type, bootedBack: true } : { type });

/** Nothing is under way, and nothing will come by itself: a path may end here, and the node may be changed. */
export const isAtRest = (state: ProvisionState): boolean => !hasTag(state, 'failsOnRestart') && !hasTag(state, 'timed');

/** @throws Error for an event that the machine refuses. */
export function follow({ state, resumes, manual }: Situation, event: ProvisionEvent): Situation {
  const step = stepFrom(state, event);
  if (!step) throw new Error(`"${state}" does not know the event ${event.type}`);
  const goesOn = WORKS.some((work) => work.includes(state) && work.includes(step.to));
  if (goesOn) return { state: step.to, resumes: resumes + (event.type === 'resume' ? 1 : 0), manual };
  return { state: step.to, resumes: 0, manual: state === 'manageable' && event.type === 'clean' };
}

/** The events that can really come next. */
export const possibleEvents = (situation: Situation): ProvisionEvent[] =>
  provisionMachine.events
    .map((type) => acceptedEvent(type as EventType))
    .filter((event) => stepFrom(situation.state, event) !== undefined && !isRuledOut(situation, event.type));

function isRuledOut({ state, resumes, manual }: Situation, event: EventType): boolean {
  switch (state) {
    case 'cleaning':
      return event === (manual ? 'done' : 'manage'); // by hand it ends where it began, otherwise as available
    case 'snapshotting':
      return event === (resumes < SNAPSHOT_WAITS ? 'done' : 'wait');
    case 'wait call-back':
    case 'clean wait':
      return event === 'resume' && resumes > 0; // the fake deployment has one answer to every call of one wait
    default:
      return false;
  }
}
