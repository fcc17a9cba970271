import { getInitialSnapshot, transition } from 'xstate';
import { INTENTIONS, provisionMachine, type EventType, type Intention, type ProvisionEvent, type ProvisionState, type StateMeta, type StateTag } from './provision-machine.ts';

/** Every state of the machine, in its own order. */
export const PROVISION_STATES = Object.keys(provisionMachine.states) as ProvisionState[];

/** Where a node's life begins. */
export const INITIAL_STATE: ProvisionState = getInitialSnapshot(provisionMachine).value;

/** A change of `provision_state` that the machine has decided. Made by `stepFrom` only. */
export interface Step {
  readonly from: ProvisionState;
  readonly event: EventType;
  readonly to: ProvisionState;
  /** The new `target_provision_state`. */
  readonly target: string | null;
  /** To be executed once the step is stored. */
  readonly intentions: readonly Intention[];
}

export const isProvisionState = (text: string): text is ProvisionState => (PROVISION_STATES as string[]).includes(text);

/**
 * The only question that decides a change of `provision_state`: the step that `event` makes from `state`, or undefined when
 * it makes none. `target` is the `target_provision_state` of now: states of one and the same work keep it.
 */
export function stepFrom(state: ProvisionState, event: ProvisionEvent, target: string | null = targetOf(state)): Step | undefined {
  const current = resolve(state);
  if (!current.can(event)) return undefined; // transition() would ignore the event without a word
  const [next, actions] = transition(provisionMachine, current, event);
  const to = next.value;
  return { from: state, event: event.type, to, target: targetAfter(state, event.type, to, target), intentions: actions.map((action) => action.type).filter(isIntention) };
}

/** Whether the state has a transition for this event type at all, guards aside: what a verb is refused for up front. */
export const hasTransition = (state: ProvisionState, event: EventType): boolean => nodeOf(state).ownEvents.includes(event);

export const hasTag = (state: ProvisionState, tag: StateTag): boolean => resolve(state).hasTag(tag);

export const statesWith = (tag: StateTag): ProvisionState[] => PROVISION_STATES.filter((state) => hasTag(state, tag));

/** `target_provision_state` while a node is in this state, unless another event or work led to it; null where nothing is under way. */
export const targetOf = (state: ProvisionState): string | null => metaOf(state).target;

/** What else may decide about the target of a state, for people. */
export const otherTargetsOf = (state: ProvisionState): Pick<StateMeta, 'targetBy' | 'continues'> => metaOf(state);

function targetAfter(from: ProvisionState, event: EventType, to: ProvisionState, before: string | null): string | null {
  const { target, targetBy, continues } = metaOf(to);
  if (continues?.includes(from)) return before;
  return targetBy?.[event] ?? target;
}

const metaOf = (state: ProvisionState): StateMeta => nodeOf(state).meta as StateMeta;

const resolve = (state: ProvisionState): ReturnType<typeof provisionMachine.resolveState> => provisionMachine.resolveState({ value: state });
const nodeOf = (state: ProvisionState): NonNullable<(typeof provisionMachine.states)[string]> => {
  const node = provisionMachine.states[state];
  if (!node) throw new Error(`the provision machine has no state ${JSON.stringify(state)}`);
  return node;
};
const isIntention = (type: string): type is Intention => (INTENTIONS as readonly string[]).includes(type);
