import { provisionMachine, type EventType, type Intention, type ProvisionState } from './provision-machine.ts';
import { PROVISION_STATES } from './provision-states.ts';

/** An edge of the machine, as declared. */
export interface Transition {
  readonly from: ProvisionState;
  readonly event: EventType;
  readonly to: ProvisionState;
  /** Name of the condition under which the event is accepted. */
  readonly guard: string | null;
  readonly intentions: readonly Intention[];
}

/** Every transition of the machine, read from the machine itself: by state, in the order of declaration. */
export const TRANSITIONS: readonly Transition[] = PROVISION_STATES.flatMap((from) => edgesOf(from));

function edgesOf(from: ProvisionState): Transition[] {
  const declared = [...(provisionMachine.states[from]?.transitions.values() ?? [])].flat();
  return declared.map(({ eventType, target, guard, actions }) => {
    const to = target?.[0];
    if (to === undefined) throw new Error(`the transition of ${from} on ${eventType} has no target: every event of the provision machine changes the state`);
    return {
      from,
      event: eventType as EventType, // no wildcards: a descriptor is an event's name
      to: to.key as ProvisionState, // flat: a state's key is its name
      guard: guard === undefined ? null : nameOf(guard),
      intentions: actions.map((action) => nameOf(action) as Intention), // the machine's set-up accepts no other action
    };
  });
}

function nameOf(part: unknown): string {
  return typeof part === 'string' ? part : (part as { type: string }).type;
}
