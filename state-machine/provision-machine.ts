import { setup, type StateValueFrom } from 'xstate';

/** What the conductor has to do after a transition is stored. Data, not code: the workflow maps each to an executor. */
export const INTENTIONS = [
  'verify',
  'adopt',
  'clean',
  'continueClean',
  'stopClean',
  'deploy',
  'continueDeploy',
  'stopDeploy',
  'tearDown',
  'startSnapshot',
  'continueSnapshot',
  'settleSnapshot',
] as const;
export type Intention = (typeof INTENTIONS)[number];

/**
 * Tags stand for Ironic's sets of states:
 * - `stable`: nothing under way; a node may stay here for ever
 * - `lookup`: a ramdisk may be running, so a lookup is answered
 * - `heartbeat`: a heartbeat makes the workflow act
 * - `failsOnRestart`: work was under way inside a conductor that is gone
 * - `powerRefused`: a user's power change would break what is under way
 * - `deletable`: the node's record may be deleted
 * - `timed`: the wait ends by a timeout
 */
export type StateTag = 'stable' | 'lookup' | 'heartbeat' | 'failsOnRestart' | 'powerRefused' | 'deletable' | 'timed';

type Plain = 'manage' | 'provide' | 'clean' | 'adopt' | 'deploy' | 'rebuild' | 'delete' | 'snapshot' | 'wait' | 'resume' | 'done' | 'fail';
/** `bootedBack`: whether the server is known to run as before its snapshot; only `abort` in `snapshot failed` asks. */
export type ProvisionEvent = { type: Plain } | { type: 'abort'; bootedBack?: boolean };
export type EventType = ProvisionEvent['type'];

/** What a state says of `target_provision_state`. */
export interface StateMeta {
  target: string | null;
  /** Targets that the state has instead when it is entered by one of these events. */
  targetBy?: Partial<Record<EventType, string>>;
  /** It belongs to the work of these states: entered from one of them, their target stays. */
  continues?: readonly string[];
}

const intend = (type: Intention): { type: Intention } => ({ type });
const nothing = (): void => undefined;

/**
 * The provision machine: Ironic's life of a node (its states and events, verbatim) with the three states and eleven
 * transitions of the snapshot specification. Pure: no context, no invocation, no timer. The database row is the
 * context; `meta` says what the row's `target_provision_state` is while in the state.
 */
export const provisionMachine = setup({
  types: { events: {} as ProvisionEvent, meta: {} as StateMeta, tags: {} as StateTag },
  actions: Object.fromEntries(INTENTIONS.map((name) => [name, nothing])) as Record<Intention, () => void>,
  guards: {
    bootedBack: ({ event }) => event.type === 'abort' && event.bootedBack === true,
  },
}).createMachine({
  id: 'provision',
  initial: 'enroll',
  states: {
    enroll: {
      tags: ['stable', 'deletable'],
      meta: { target: null },
      on: { manage: { target: 'verifying', actions: intend('verify') } },
    },
    verifying: {
      tags: ['failsOnRestart'],
      meta: { target: 'manageable' },
      on: { done: 'manageable', fail: 'enroll' },
    },
    manageable: {
      tags: ['stable', 'deletable'],
      meta: { target: null },
      on: {
        provide: { target: 'cleaning', actions: intend('clean') },
        clean: { target: 'cleaning', actions: intend('clean') },
        adopt: { target: 'adopting', actions: intend('adopt') },
      },
    },
    available: {
      tags: ['stable', 'deletable'],
      meta: { target: null },
      on: { deploy: { target: 'deploying', actions: intend('deploy') }, manage: 'manageable' },
    },
    adopting: {
      tags: ['failsOnRestart'],
      meta: { target: 'active' },
      on: { done: 'active', fail: 'adopt failed' },
    },
    'adopt failed': {
      tags: ['deletable'],
      meta: { target: 'active' },
      on: { adopt: { target: 'adopting', actions: intend('adopt') }, manage: 'manageable' },
    },
    deploying: {
      tags: ['failsOnRestart', 'lookup'],
      meta: { target: 'active' },
      on: { done: 'active', fail: { target: 'deploy failed', actions: intend('stopDeploy') }, wait: 'wait call-back' },
    },
    'wait call-back': {
      tags: ['lookup', 'heartbeat', 'timed'],
      meta: { target: 'active' },
      on: {
        resume: { target: 'deploying', actions: intend('continueDeploy') },
        fail: { target: 'deploy failed', actions: intend('stopDeploy') },
        delete: { target: 'deleting', actions: intend('tearDown') },
      },
    },
    'deploy failed': {
      meta: { target: 'active' },
      on: {
        rebuild: { target: 'deploying', actions: intend('deploy') },
        deploy: { target: 'deploying', actions: intend('deploy') },
        delete: { target: 'deleting', actions: intend('tearDown') },
      },
    },
    active: {
      tags: ['stable'],
      meta: { target: null },
      on: {
        rebuild: { target: 'deploying', actions: intend('deploy') },
        delete: { target: 'deleting', actions: intend('tearDown') },
        snapshot: { target: 'snapshotting', actions: intend('startSnapshot') },
      },
    },
    snapshotting: {
      tags: ['failsOnRestart', 'lookup', 'powerRefused'],
      meta: { target: 'active' },
      on: {
        done: 'active',
        fail: { target: 'snapshot failed', actions: intend('settleSnapshot') },
        wait: 'snapshot wait',
      },
    },
    'snapshot wait': {
      tags: ['lookup', 'heartbeat', 'timed', 'powerRefused'],
      meta: { target: 'active' },
      on: {
        resume: { target: 'snapshotting', actions: intend('continueSnapshot') },
        fail: { target: 'snapshot failed', actions: intend('settleSnapshot') },
        abort: { target: 'snapshot failed', actions: intend('settleSnapshot') },
        delete: { target: 'deleting', actions: intend('tearDown') },
      },
    },
    'snapshot failed': {
      meta: { target: 'active' },
      on: {
        abort: { target: 'active', guard: 'bootedBack' },
        snapshot: { target: 'snapshotting', actions: intend('startSnapshot') },
        delete: { target: 'deleting', actions: intend('tearDown') },
      },
    },
    deleting: {
      tags: ['failsOnRestart'],
      meta: { target: 'available' },
      on: { clean: { target: 'cleaning', actions: intend('clean') }, fail: 'error' },
    },
    cleaning: {
      tags: ['failsOnRestart', 'lookup'],
      meta: { target: 'available', targetBy: { clean: 'manageable' }, continues: ['deleting', 'clean wait'] },
      on: { done: 'available', manage: 'manageable', fail: { target: 'clean failed', actions: intend('stopClean') }, wait: 'clean wait' },
    },
    'clean wait': {
      tags: ['lookup', 'heartbeat', 'timed'],
      meta: { target: 'available', continues: ['cleaning'] },
      on: {
        resume: { target: 'cleaning', actions: intend('continueClean') },
        fail: { target: 'clean failed', actions: intend('stopClean') },
        abort: { target: 'clean failed', actions: intend('stopClean') },
      },
    },
    'clean failed': {
      meta: { target: 'available', continues: ['cleaning', 'clean wait'] },
      on: { manage: 'manageable' },
    },
    error: {
      tags: ['stable'],
      meta: { target: null },
      on: {
        rebuild: { target: 'deploying', actions: intend('deploy') },
        delete: { target: 'deleting', actions: intend('tearDown') },
      },
    },
  },
});

/** Ironic's strings, verbatim. The machine is flat, so a state's value is its name. */
export type ProvisionState = StateValueFrom<typeof provisionMachine>;
