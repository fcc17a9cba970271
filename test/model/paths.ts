/** Paths through the provision machine that take every transition, made from the machine by xstate/graph; driven in memory and over HTTP. */
import { getShortestPaths } from 'xstate/graph';
import { provisionMachine, type EventType, type ProvisionEvent, type ProvisionState } from '../../state-machine/provision-machine.ts';
import { INITIAL_STATE, PROVISION_STATES } from '../../state-machine/provision-states.ts';
import { TRANSITIONS } from '../../state-machine/provision-transitions.ts';

export interface PathStep {
  readonly from: ProvisionState;
  readonly event: ProvisionEvent;
  readonly to: ProvisionState;
}
/** Starts at `enroll`; each step begins where the one before it ended. */
export type Path = readonly PathStep[];

/** The event with the facts that make its guards hold. */
export const acceptedEvent = (type: EventType): ProvisionEvent => (type === 'abort' ? { type, bootedBack: true } : { type });

/**
 * Paths that together take every transition at least once, with few steps: each goes on as long as the nearest transition
 * not yet taken is no farther ahead than it would be for a new node.
 */
export function coverTransitions(): Path[] {
  const ways = new Map(PROVISION_STATES.map((state) => [state, shortestWays(state)]));
  const left = new Map(TRANSITIONS.map(({ from, event, to }) => [`${from} on ${event}`, { from, event: acceptedEvent(event), to }]));
  const nearest = (from: ProvisionState): PathStep[] => {
    const reachable = [...left.values()].flatMap((step) => {
      const way = ways.get(from)?.get(step.from);
      return way ? [[...way, step]] : [];
    });
    return reachable.sort((one, other) => one.length - other.length)[0] ?? [];
  };
  const paths: Path[] = [];
  while (left.size > 0) {
    const path: PathStep[] = [];
    let ahead = nearest(INITIAL_STATE);
    if (ahead.length === 0) throw new Error(`no way from ${INITIAL_STATE} to ${[...left.keys()].join(', ')}`);
    do {
      path.push(...ahead);
      for (const step of ahead) left.delete(`${step.from} on ${step.event.type}`);
      ahead = nearest(path[path.length - 1]?.to ?? INITIAL_STATE);
    } while (ahead.length > 0 && ahead.length <= nearest(INITIAL_STATE).length);
    paths.push(path);
  }
  return paths;
}

/** The shortest way from a state to every state that can be reached from it; to itself it is empty. */
function shortestWays(from: ProvisionState): Map<ProvisionState, PathStep[]> {
  const events = [...new Set(TRANSITIONS.map(({ event }) => event))].map(acceptedEvent);
  const paths = getShortestPaths(provisionMachine, { fromState: provisionMachine.resolveState({ value: from }), events });
  return new Map(
    paths.map(({ state, steps }) => {
      const taken = steps.filter(({ event }) => (event.type as string) !== 'xstate.init');
      return [state.value, taken.map(({ event, state: reached }, index) => ({ from: taken[index - 1]?.state.value ?? from, event, to: reached.value }))];
    }),
  );
}
