/** Paths through the provision machine that take every transition, made from the machine by xstate/graph; driven in memory and over HTTP. */
import { fromTransition } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { ProvisionEvent, ProvisionState } from '../../state-machine/provision-machine.ts';
import { INITIAL_SITUATION, follow, isAtRest, possibleEvents, type Situation } from './situation.ts';

export { acceptedEvent } from './situation.ts';

export interface PathStep {
  readonly from: ProvisionState;
  readonly event: ProvisionEvent;
  readonly to: ProvisionState;
  /** The situation in `from`; see Situation. */
  readonly resumes: number;
}
/** Starts at `enroll` and ends at rest; each step begins where the one before it ended, and can come after it in the running system. */
export type Path = readonly PathStep[];

interface Edge {
  readonly begin: Situation;
  readonly step: PathStep;
  readonly end: Situation;
}
type Way = readonly Edge[];

/** Longer ones are not gone on with: paths are driven side by side, and the longest decides how long that takes. */
const LONG_PATH_STEPS = 24;

/**
 * Paths that together take every transition at least once, those of a snapshot in each of its phases, with few steps: each
 * goes on as long as the nearest transition not yet taken is no farther ahead than it would be for a new node.
 */
export function coverTransitions(): Path[] {
  const ways = new Map<string, Way[]>();
  const waysFrom = (situation: Situation): Way[] => {
    const known = ways.get(keyOf(situation)) ?? shortestWays(situation);
    ways.set(keyOf(situation), known);
    return known;
  };
  const left = new Set(waysFrom(INITIAL_SITUATION).flatMap((way) => edgesFrom(endOf(way, INITIAL_SITUATION)).map(nameOf)));
  const nearest = (from: Situation): Way =>
    shortest(waysFrom(from).flatMap((way) => edgesFrom(endOf(way, from)).filter((edge) => left.has(nameOf(edge))).map((edge) => [...way, edge])));

  const paths: Path[] = [];
  while (left.size > 0) {
    const path: Edge[] = [];
    let ahead = nearest(INITIAL_SITUATION);
    if (ahead.length === 0) throw new Error(`no way from ${INITIAL_SITUATION.state} to ${[...left].join(', ')}`);
    do {
      path.push(...ahead);
      for (const edge of ahead) left.delete(nameOf(edge));
      ahead = nearest(endOf(path, INITIAL_SITUATION));
    } while (path.length < LONG_PATH_STEPS && ahead.length > 0 && ahead.length <= nearest(INITIAL_SITUATION).length);
    const end = endOf(path, INITIAL_SITUATION);
    path.push(...shortest(waysFrom(end).filter((way) => isAtRest(endOf(way, end).state))));
    paths.push(path.map(({ step }) => step));
  }
  return paths;
}

/** The shortest way from a situation to every one that can be reached from it; to itself it is empty. */
function shortestWays(from: Situation): Way[] {
  const paths = getShortestPaths(fromTransition(follow, from), { events: ({ context }) => possibleEvents(context), serializeState: ({ context }) => keyOf(context) });
  return paths.map(({ steps }) => {
    const taken = steps.filter(({ event }) => (event.type as string) !== 'xstate.init');
    return taken.map(({ event }, index) => edgeOf(taken[index - 1]?.state.context ?? from, event));
  });
}

const edgesFrom = (situation: Situation): Edge[] => possibleEvents(situation).map((event) => edgeOf(situation, event));
const endOf = (way: Way, from: Situation): Situation => way[way.length - 1]?.end ?? from;
const shortest = (ways: readonly Way[]): Way => [...ways].sort((one, other) => one.length - other.length)[0] ?? [];
const keyOf = ({ state, resumes, manual }: Situation): string => `${state}, resumed ${resumes} times, ${manual ? 'manual' : 'automated'}`;

function edgeOf(begin: Situation, event: ProvisionEvent): Edge {
  const end = follow(begin, event);
  return { begin, end, step: { from: begin.state, event, to: end.state, resumes: begin.resumes } };
}

/** What has to be taken: a transition; for a snapshot under way, in each of its phases. */
const nameOf = ({ begin: { state, resumes }, step: { event } }: Edge): string => `${state}${state === 'snapshotting' || state === 'snapshot wait' ? ` (${resumes})` : ''} on ${event.type}`;
