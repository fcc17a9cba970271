import { HIDDEN_TOKEN, type HeartbeatBody } from '../../../../protocol/agent-api.ts';
import { InvalidStateError, NodeLockedError, NotFoundError } from '../../../../protocol/errors.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import { VERB_EVENTS, type PowerTarget, type ProvisionRequest, type Verb } from '../../../../protocol/provision.ts';
import type { Database } from '../../../../conductor/db/database.ts';
import { INTERFACE_KINDS, type NodeRow } from '../../../../conductor/db/rows.ts';
import type { BootDevice, BootDeviceSetting } from '../../../../conductor/drivers/interfaces.ts';
import type { LookupAnswer, LookupRequest } from '../../../../conductor/workflow/ramdisk-lookup.ts';
import type { Caller, CheckResult, Workflow } from '../../../../conductor/workflow/workflow.ts';
import type { ProvisionEvent } from '../../../../state-machine/provision-machine.ts';
import { hasTag, hasTransition, stepFrom } from '../../../../state-machine/provision-states.ts';

export const DOUBLE_HOST = 'host-1';
const TOKEN = 'a-token-of-forty-three-characters-as-in-iron';

/** Everything that the API asks of a workflow, with real rows, real locks and the real machine, but without drivers: work that is begun ends well at once. */
export class WorkflowDouble implements Workflow {
  /** Verbs whose work ends badly. */
  readonly failing = new Set<Verb>();
  readonly calls: { method: string; args: unknown[] }[] = [];
  readonly #db: Database;
  #bootDevice: BootDeviceSetting = { bootDevice: 'pxe', persistent: false };

  constructor(db: Database) {
    this.#db = db;
  }

  async provision(node: NodeRow, verb: Verb, request: ProvisionRequest, caller: Caller): Promise<void> {
    this.calls.push({ method: 'provision', args: [node.uuid, verb, request, caller] });
    if (node.reservation !== null) throw new NodeLockedError(node.uuid, node.reservation);
    if (!hasTransition(node.provisionState, VERB_EVENTS[verb])) throw new InvalidStateError(verb, node.uuid, node.provisionState);
    let current = await this.#step(node, { type: VERB_EVENTS[verb] }, caller);
    while (current.targetProvisionState !== null && verb !== 'snapshot' && !current.provisionState.endsWith(' failed')) current = await this.#step(current, { type: this.failing.has(verb) ? 'fail' : current.provisionState === 'deleting' ? 'clean' : 'done' }, caller);
  }

  async #step(node: NodeRow, event: ProvisionEvent, caller: Caller): Promise<NodeRow> {
    const step = stepFrom(node.provisionState, event);
    if (!step) throw new Error(`no step from ${node.provisionState} by ${event.type}`);
    const stored = await this.#db.nodes.storeStep(node.id, step, { history: { conductor: DOUBLE_HOST, user: caller.user } });
    return stored.node;
  }

  async dryRunSnapshot(node: NodeRow, request: ProvisionRequest, caller: Caller): Promise<Record<string, CheckResult>> {
    this.calls.push({ method: 'dryRunSnapshot', args: [node.uuid, request, caller] });
    return { state: { result: false, reason: 'not active' } };
  }

  async planDeployment(node: NodeRow, verb: 'deploy' | 'rebuild', request: ProvisionRequest, caller: Caller): Promise<Plan> {
    this.calls.push({ method: 'planDeployment', args: [node.uuid, verb, request, caller] });
    const image = { source: String(request.image_ref), name: null, disk_format: 'qcow2', size_bytes: null, virtual_size_bytes: null };
    return { verb, node_uuid: node.uuid, image, target_disk: null, generalize: false, result: 'warn', checks: [{ name: 'disk_size', result: 'warn', expected: null, found: null, message: 'The ramdisk has not looked yet.' }] };
  }

  async changePower(node: NodeRow, target: PowerTarget, timeoutMs: number | undefined, caller: Caller): Promise<void> {
    this.calls.push({ method: 'changePower', args: [node.uuid, target, timeoutMs, caller] });
    await this.#db.nodes.update(node.id, { powerState: target.includes('off') && !target.includes('reboot') ? 'power off' : 'power on' });
  }

  async withLock<T>(nodeUuid: string, work: (node: NodeRow) => Promise<T>): Promise<T> {
    const node = await this.#db.nodes.find(nodeUuid);
    if (!node) throw new NotFoundError(`Node ${nodeUuid} could not be found.`);
    if (!(await this.#db.nodes.reserve(node.id, DOUBLE_HOST))) throw new NodeLockedError(nodeUuid, node.reservation ?? 'unknown');
    try {
      return await work(await this.#db.nodes.get(node.id));
    } finally {
      await this.#db.nodes.release(node.id, DOUBLE_HOST);
    }
  }

  async validate(): Promise<Record<string, CheckResult>> {
    return Object.fromEntries(INTERFACE_KINDS.filter((kind) => kind !== 'vendor').map((kind) => [kind, { result: true }]));
  }

  async supportedBootDevices(): Promise<BootDevice[]> {
    return ['pxe'];
  }

  async getBootDevice(): Promise<BootDeviceSetting> {
    return this.#bootDevice;
  }

  async setBootDevice(_node: NodeRow, bootDevice: BootDevice, persistent: boolean): Promise<void> {
    this.#bootDevice = { bootDevice, persistent };
  }

  async lookup({ addresses, nodeUuid, nonce, peer }: LookupRequest): Promise<LookupAnswer | null> {
    this.calls.push({ method: 'lookup', args: [nonce, peer] });
    const found = nodeUuid === undefined ? await this.#db.nodes.findByAddresses(addresses) : [await this.#db.nodes.find(nodeUuid)];
    const [node] = found;
    if (!node || found.length > 1 || !hasTag(node.provisionState, 'lookup')) return null;
    const agentToken = node.agentToken === null ? TOKEN : HIDDEN_TOKEN;
    await this.#db.nodes.update(node.id, { agentToken: TOKEN });
    return { node: await this.#db.nodes.get(node.id), agentToken, heartbeatTimeoutS: 300 };
  }

  async heartbeat(nodeUuid: string, body: HeartbeatBody, peer: string): Promise<void> {
    this.calls.push({ method: 'heartbeat', args: [nodeUuid, body, peer] });
    const node = await this.#db.nodes.find(nodeUuid);
    await this.#db.nodes.update(node!.id, { agentUrl: body.callback_url, agentVersion: body.agent_version ?? null, agentLastHeartbeatAt: new Date() });
  }
}
