import type { HeartbeatBody } from '../../protocol/agent-api.ts';
import { UnsupportedInterfaceError } from '../../protocol/errors.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { PowerTarget, ProvisionRequest, Verb } from '../../protocol/provision.ts';
import type { BootDevice, BootDeviceSetting } from '../drivers/interfaces.ts';
import type { NodeRow } from '../db/rows.ts';
import { Attendant } from './attendant.ts';
import { CaptureSlots } from './capture-slots.ts';
import { driverTask } from './driver-task.ts';
import { withLock } from './lock.ts';
import * as life from './node-life.ts';
import { dryRunDeployment } from './deployment-request.ts';
import { settleOperation } from './operation-workflow.ts';
import type { WorkflowParts } from './parts.ts';
import { changePower } from './power.ts';
import { requestProvision, snapshotRequest } from './provision-request.ts';
import { acceptHeartbeat } from './ramdisk-heartbeat.ts';
import { lookUp, type LookupAnswer, type LookupRequest } from './ramdisk-lookup.ts';
import { recover } from './recovery.ts';
import { continueSnapshot, settleSnapshot, startSnapshot } from './snapshot-workflow.ts';
import { checkSnapshot, validateInterfaces } from './validation.ts';
import { startWatch } from './watch.ts';
import type { Executors } from './work.ts';
import type { Caller, CheckResult, Workflow } from './workflow.ts';

const MANAGEMENT_TIMEOUT_MS = 60_000;

/** Makes the total map from what the machine intends to who carries it out. */
const executorsWith = (slots: CaptureSlots): Executors => ({
  verify: life.verify,
  adopt: life.adopt,
  clean: life.clean,
  continueClean: life.continueClean,
  stopClean: settleOperation,
  deploy: life.deploy,
  continueDeploy: life.continueDeploy,
  stopDeploy: settleOperation,
  tearDown: life.tearDown,
  startSnapshot: (work) => startSnapshot(work, slots),
  continueSnapshot: (work) => continueSnapshot(work, slots),
  settleSnapshot,
});

/** The workflow of one conductor: what the API asks of it, and its life cycle. */
export class ConductorWorkflow implements Workflow {
  readonly #parts: WorkflowParts;
  readonly #slots: CaptureSlots;
  readonly #executors: Executors;
  readonly #attendant: Attendant;

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
    this.#slots = new CaptureSlots(parts);
    this.#executors = executorsWith(this.#slots);
    this.#attendant = new Attendant(parts, this.#executors);
  }

  /** Takes over what an earlier run left, then begins to watch. To be called once, before requests are answered. */
  async start(): Promise<void> {
    await recover(this.#parts, this.#executors);
    startWatch(this.#parts, this.#attendant, this.#slots, this.#executors);
  }

  provision(node: NodeRow, verb: Verb, request: ProvisionRequest, caller: Caller): Promise<void> {
    return requestProvision(this.#parts, this.#executors, node, verb, request, caller);
  }

  planDeployment(node: NodeRow, verb: 'deploy' | 'rebuild', request: ProvisionRequest, caller: Caller): Promise<Plan> {
    return dryRunDeployment(this.#parts, node, verb, request, caller);
  }

  dryRunSnapshot(node: NodeRow, request: ProvisionRequest, caller: Caller): Promise<Record<string, CheckResult>> {
    const { unsupported } = this.#parts.hardware.driversFor(node).snapshot;
    if (unsupported !== undefined) return Promise.reject(new UnsupportedInterfaceError(`Node ${node.uuid} can not be snapshotted: ${unsupported}`));
    return checkSnapshot(this.#parts, node, snapshotRequest(request, caller));
  }

  changePower(node: NodeRow, target: PowerTarget, timeoutMs: number | undefined, caller: Caller): Promise<void> {
    return changePower(this.#parts, node, target, timeoutMs, caller.user);
  }

  withLock<T>(nodeUuid: string, work: (node: NodeRow) => Promise<T>): Promise<T> {
    return withLock(this.#parts, nodeUuid, work);
  }

  validate(node: NodeRow): Promise<Record<string, CheckResult>> {
    return validateInterfaces(this.#parts, node);
  }

  async supportedBootDevices(node: NodeRow): Promise<BootDevice[]> {
    return this.#parts.hardware.driversFor(node).management.supportedBootDevices(await driverTask(this.#parts, node, MANAGEMENT_TIMEOUT_MS));
  }

  async getBootDevice(node: NodeRow): Promise<BootDeviceSetting> {
    return this.#parts.hardware.driversFor(node).management.getBootDevice(await driverTask(this.#parts, node, MANAGEMENT_TIMEOUT_MS));
  }

  setBootDevice(found: NodeRow, device: BootDevice, persistent: boolean): Promise<void> {
    return this.withLock(found.uuid, async (node) => this.#parts.hardware.driversFor(node).management.setBootDevice(await driverTask(this.#parts, node, MANAGEMENT_TIMEOUT_MS), device, persistent));
  }

  async lookup(request: LookupRequest): Promise<LookupAnswer | null> {
    const result = await lookUp(this.#parts, request);
    if ('answer' in result) return result.answer;
    if (result.refused === 'second') this.#attendant.secondLookupNoticed(result.nodeId);
    return null;
  }

  async heartbeat(nodeUuid: string, body: HeartbeatBody, peer: string): Promise<void> {
    const node = await acceptHeartbeat(this.#parts, nodeUuid, body, peer);
    this.#attendant.heartbeatArrived(node.id);
  }
}
