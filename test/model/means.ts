import { noFaults } from '../../simulator/faults.ts';
import type { PathStep } from './paths.ts';
import type { Walk } from './walk.ts';

/** How one transition is made to happen for real. */
export interface Means {
  /** `driver_info` that must hold: it can be changed while the node is at rest only, so it is set ahead for the whole leg. */
  driverInfo?(step: PathStep): Record<string, unknown>;
  /** What the fake deployment is to answer, by its step; part of `driver_info`. */
  fakeDeploy?(step: PathStep): Record<string, string>;
  /** Prepares an outcome before what leads to it is set off. */
  arrange?(walk: Walk): void;
  /** Sets the event off. Without it the event follows from the one before by itself. */
  cause?(walk: Walk, step: PathStep): Promise<void>;
  /** What the node's history has to say about a failure: it is the one that was arranged. */
  because?: RegExp;
}

const ERASE = { clean_steps: [{ interface: 'deploy', step: 'erase_devices' }] };

const verb = (target: string, more?: Record<string, unknown>): Means => ({ cause: (walk) => walk.demand(target, more) });
/** Of a wait. */
const abort: Means = { ...verb('abort'), because: /was aborted/ };
const snapshot: Means = { cause: (walk) => walk.demandSnapshot() };
/** The ramdisk's heartbeat. */
const call: Means = { cause: ({ actor }) => actor.agent.call() };
/** Nobody calls: the callback timeout ends the wait. */
const silence: Means = { cause: () => Promise.resolve(), because: /ramdisk did not call back within 5 s/ };
/** The BMC works, and lets the conductor in. */
const bmcAnswers: Means = {};
const bmcRefusesLogin: Means = { driverInfo: () => ({ redfish_password: 'no longer the password' }), because: /refuses the login/ };
const becauseOrdered = (answer: string): Means => (answer === 'fail' ? { because: /failed, as driver_info.fake_deploy orders/ } : {});
/** The fake deployment's answer: `first` to the verb, `again` to a call of the ramdisk. */
const deployAnswers = (answer: string): Means => ({ fakeDeploy: ({ resumes }) => ({ [resumes === 0 ? 'deploy' : 'continue']: answer }), ...becauseOrdered(answer) });
const cleanAnswers = (answer: string): Means => ({ fakeDeploy: ({ resumes }) => ({ [resumes === 0 ? 'clean' : 'continue_clean']: answer }), ...becauseOrdered(answer) });
const tearDownAnswers = (answer: string): Means => ({ fakeDeploy: () => ({ tear_down: answer }), ...becauseOrdered(answer) });

/** By transition; those of a snapshot under way by phase: how often it has gone on after a wait. */
const MEANS: Readonly<Record<string, Means>> = {
  'enroll on manage': verb('manage'),
  'verifying on done': bmcAnswers,
  'verifying on fail': bmcRefusesLogin,
  'manageable on provide': verb('provide'),
  'manageable on clean': verb('clean', ERASE),
  'manageable on adopt': verb('adopt'),
  'adopting on done': bmcAnswers,
  'adopting on fail': bmcRefusesLogin,
  'adopt failed on adopt': verb('adopt'),
  'adopt failed on manage': verb('manage'),
  'available on deploy': verb('active'),
  'available on manage': verb('manage'),

  'deploying on done': deployAnswers('done'),
  'deploying on wait': deployAnswers('wait'),
  'deploying on fail': deployAnswers('fail'),
  'wait call-back on resume': call,
  'wait call-back on fail': silence,
  'wait call-back on delete': verb('deleted'),
  'deploy failed on rebuild': verb('rebuild'),
  'deploy failed on deploy': verb('active'),
  'deploy failed on delete': verb('deleted'),
  'active on rebuild': verb('rebuild'),
  'active on delete': verb('deleted'),
  'deleting on clean': tearDownAnswers('done'),
  'deleting on fail': tearDownAnswers('fail'),
  'error on rebuild': verb('rebuild'),
  'error on delete': verb('deleted'),

  'cleaning on done': cleanAnswers('done'),
  'cleaning on manage': cleanAnswers('done'),
  'cleaning on wait': cleanAnswers('wait'),
  'cleaning on fail': cleanAnswers('fail'),
  'clean wait on resume': call,
  'clean wait on fail': silence,
  'clean wait on abort': abort,
  'clean failed on manage': verb('manage'),

  'active on snapshot': snapshot,
  'snapshot failed on snapshot': snapshot,
  // the BMC does not switch the server off
  'snapshotting (0) on fail': { arrange: ({ actor }) => actor.machine.setFaults({ ignore_graceful_shutdown: true, power_off: 'refused' }), because: /did not reach "power off"/ },
  // the server is switched off and booted from the network
  'snapshotting (0) on wait': {},
  'snapshot wait (0) on resume': { cause: (walk) => walk.callFromRamdisk() },
  'snapshot wait (0) on fail': silence,
  'snapshot wait (0) on abort': abort,
  'snapshot wait (0) on delete': verb('deleted'),
  'snapshotting (1) on fail': { arrange: ({ actor }) => (actor.agent.refusesCommand = true), because: /refuses snapshot.stream_image.*no disk/ },
  // the agent takes the command
  'snapshotting (1) on wait': {},
  'snapshot wait (1) on resume': { cause: ({ actor }) => actor.agent.endCapture() },
  'snapshot wait (1) on fail': { cause: ({ actor }) => actor.agent.failCapture('the disk can not be read'), because: /the disk can not be read/ },
  'snapshot wait (1) on abort': abort,
  'snapshot wait (1) on delete': verb('deleted'),
  'snapshotting (2) on fail': { arrange: ({ actor }) => (actor.agent.reportsWrongDigest = true), because: /on the share has sha512/ },
  // the image is verified and uploaded, the server boots from its own disk
  'snapshotting (2) on done': {},
  'snapshot failed on abort': verb('abort'),
  'snapshot failed on delete': verb('deleted'),
};

/** @throws Error for a transition that nobody has said how to make happen. */
export function meansOf({ from, event, resumes }: PathStep): Means {
  const names = [`${from} (${resumes}) on ${event.type}`, `${from} on ${event.type}`];
  const found = names.map((name) => MEANS[name]).find((means) => means !== undefined);
  if (!found) throw new Error(`test/model/means.ts does not say how to make "${names.join('" or "')}" happen`);
  return found;
}

/** Nothing is wrong any more, but that a network boot ends nowhere: the scripted agent speaks for the ramdisk. */
export function clearArrangements({ actor: { machine, agent } }: Walk): void {
  machine.setFaults({ ...noFaults(), pxe_hangs: true });
  agent.refusesCommand = false;
  agent.reportsWrongDigest = false;
}
