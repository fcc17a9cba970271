import type { EventType, ProvisionState } from '../../../state-machine/provision-machine.ts';

export type Row = readonly [from: ProvisionState, event: EventType, to: ProvisionState];

/** The snapshot specification, "State Machine Impact", line by line. Its `deleted` is the verb; the machine's event for it is Ironic's `delete`. */
export const SNAPSHOT_TRANSITIONS: readonly Row[] = [
  ['active', 'snapshot', 'snapshotting'],
  ['snapshotting', 'fail', 'snapshot failed'],
  ['snapshotting', 'wait', 'snapshot wait'],
  ['snapshot wait', 'resume', 'snapshotting'],
  ['snapshot wait', 'fail', 'snapshot failed'],
  ['snapshot wait', 'abort', 'snapshot failed'],
  ['snapshotting', 'done', 'active'],
  ['snapshot failed', 'abort', 'active'],
  ['snapshot failed', 'snapshot', 'snapshotting'],
  ['snapshot wait', 'delete', 'deleting'],
  ['snapshot failed', 'delete', 'deleting'],
];

/**
 * Ironic 21.4's own transitions between the states that we have. Left out with their states: inspecting, inspect wait,
 * inspect failed (`inspect` from manageable), and rescue, rescuing, rescue wait, rescue failed, unrescuing, unrescue failed
 * (`rescue` from active).
 */
export const IRONIC_TRANSITIONS: readonly Row[] = [
  ['enroll', 'manage', 'verifying'],
  ['verifying', 'done', 'manageable'],
  ['verifying', 'fail', 'enroll'],
  ['manageable', 'provide', 'cleaning'],
  ['manageable', 'clean', 'cleaning'],
  ['manageable', 'adopt', 'adopting'],
  ['adopting', 'done', 'active'],
  ['adopting', 'fail', 'adopt failed'],
  ['adopt failed', 'adopt', 'adopting'],
  ['adopt failed', 'manage', 'manageable'],
  ['available', 'deploy', 'deploying'],
  ['available', 'manage', 'manageable'],
  ['deploying', 'done', 'active'],
  ['deploying', 'fail', 'deploy failed'],
  ['deploying', 'wait', 'wait call-back'],
  ['wait call-back', 'resume', 'deploying'],
  ['wait call-back', 'fail', 'deploy failed'],
  ['wait call-back', 'delete', 'deleting'],
  ['deploy failed', 'rebuild', 'deploying'],
  ['deploy failed', 'deploy', 'deploying'],
  ['deploy failed', 'delete', 'deleting'],
  ['active', 'rebuild', 'deploying'],
  ['active', 'delete', 'deleting'],
  ['deleting', 'clean', 'cleaning'],
  ['deleting', 'fail', 'error'],
  ['error', 'rebuild', 'deploying'],
  ['error', 'delete', 'deleting'],
  ['cleaning', 'done', 'available'],
  ['cleaning', 'manage', 'manageable'],
  ['cleaning', 'fail', 'clean failed'],
  ['cleaning', 'wait', 'clean wait'],
  ['clean wait', 'resume', 'cleaning'],
  ['clean wait', 'fail', 'clean failed'],
  ['clean wait', 'abort', 'clean failed'],
  ['clean failed', 'manage', 'manageable'],
];

/** What Ironic has for a cleaning by hand, which ends where it began. */
export const MANUAL_CLEANING_TARGET = 'manageable';

/** Ironic's `target_provision_state` by state; for the specification's three, `active`, as for every other detour of an active node. */
export const TARGETS: Readonly<Record<ProvisionState, string | null>> = {
  enroll: null,
  verifying: 'manageable',
  manageable: null,
  available: null,
  adopting: 'active',
  'adopt failed': 'active',
  deploying: 'active',
  'wait call-back': 'active',
  'deploy failed': 'active',
  active: null,
  snapshotting: 'active',
  'snapshot wait': 'active',
  'snapshot failed': 'active',
  deleting: 'available',
  cleaning: 'available',
  'clean wait': 'available',
  'clean failed': 'available',
  error: null,
};
