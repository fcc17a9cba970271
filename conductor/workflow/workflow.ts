import type { HeartbeatBody } from '../../protocol/agent-api.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { PowerTarget, ProvisionRequest, Verb } from '../../protocol/provision.ts';
import type { BootDevice, BootDeviceSetting } from '../drivers/interfaces.ts';
import type { NodeRow } from '../db/rows.ts';
import type { LookupAnswer, LookupRequest } from './ramdisk-lookup.ts';

/** Who asks. Without authentication: `anonymous` without a project. */
export interface Caller {
  user: string;
  projectId: string | null;
  /** What the caller may do; without Keystone everything. */
  access: 'admin' | 'project' | 'reader';
  /** What a Keystone token is for; absent without Keystone. */
  scope?: 'project' | 'system';
}

/** One line of `validate` and of a snapshot's dry run. */
export interface CheckResult {
  result: boolean;
  reason?: string;
}

/** What the API asks of the workflow. Errors are MetalshotErrors of the catalogue. */
export interface Workflow {
  /**
   * A provision verb, from Ironic's step 4 on (argument types, node and version are checked by the API): resolves when the
   * new state is stored; the work goes on in the background.
   */
  provision(node: NodeRow, verb: Verb, request: ProvisionRequest, caller: Caller): Promise<void>;
  /** What a deploy or rebuild would do, by the same checks; nothing is touched. */
  planDeployment(node: NodeRow, verb: 'deploy' | 'rebuild', request: ProvisionRequest, caller: Caller): Promise<Plan>;
  /** The checks that a snapshot request would have to pass; nothing is touched. */
  dryRunSnapshot(node: NodeRow, request: ProvisionRequest, caller: Caller): Promise<Record<string, CheckResult>>;
  /** Resolves when the request is stored (`target_power_state` set); the power action goes on in the background. */
  changePower(node: NodeRow, target: PowerTarget, timeoutMs: number | undefined, caller: Caller): Promise<void>;
  /** Runs `work` with the node's row re-read under the exclusive lock (PATCH, DELETE, maintenance, ports). @throws NodeLockedError */
  withLock<T>(nodeUuid: string, work: (node: NodeRow) => Promise<T>): Promise<T>;
  validate(node: NodeRow): Promise<Record<string, CheckResult>>;
  supportedBootDevices(node: NodeRow): Promise<BootDevice[]>;
  getBootDevice(node: NodeRow): Promise<BootDeviceSetting>;
  setBootDevice(node: NodeRow, device: BootDevice, persistent: boolean): Promise<void>;
  /** The node that a ramdisk with these MAC addresses runs on, and its token (or `******` when already given). Null: 404. */
  lookup(request: LookupRequest): Promise<LookupAnswer | null>;
  /** @param peer address of the connection. @throws InvalidParameterError for a wrong token or callback; NotFoundError. Returns at once, the work goes on. */
  heartbeat(nodeUuid: string, body: HeartbeatBody, peer: string): Promise<void>;
}
