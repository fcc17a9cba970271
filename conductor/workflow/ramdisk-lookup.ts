import { randomBytes, timingSafeEqual } from 'node:crypto';
import { HIDDEN_TOKEN } from '../../protocol/agent-api.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { hashCredential } from '../drivers/credential.ts';
import { noteEvent } from './history-lines.ts';
import type { WorkflowParts } from './parts.ts';
import { markSecondLookup, secondLookupOf } from './second-lookup.ts';

/** Who looks itself up. */
export interface LookupRequest {
  addresses: readonly string[];
  nodeUuid: string | undefined;
  /** What it brings to prove that it was booted by us. */
  nonce: string | undefined;
  /** Address of its connection. */
  peer: string;
}

export interface LookupAnswer {
  node: NodeRow;
  agentToken: string;
  heartbeatTimeoutS: number;
}

/** What a lookup comes to; `second`: two machines were booted as this node, and its work has to fail. */
export type LookupResult = { answer: LookupAnswer } | { refused: 'unknown' | 'alarm' } | { refused: 'second'; nodeId: number };

/** Bytes of an agent token; 43 characters in base64url, as Ironic's. */
const TOKEN_BYTES = 32;
/** An attacker must not fill the history. */
const ALARM_LINE_INTERVAL_MS = 60_000;

/**
 * The node that a ramdisk with these addresses runs on. The token is given once per ramdisk boot; whoever comes later gets
 * it hidden, or, where the boot has a nonce, nothing. Refused: unknown addresses, several nodes, a node where no ramdisk is
 * expected or none can have been booted yet, one whose nonce is not brought along.
 */
export async function lookUp(parts: WorkflowParts, request: LookupRequest): Promise<LookupResult> {
  const { addresses, nodeUuid, peer } = request;
  const node = await findNode(parts, addresses, nodeUuid);
  if (!node || !hasTag(node.provisionState, 'lookup')) {
    parts.log.info({ addresses, nodeUuid, peer, state: node?.provisionState }, 'lookup refused');
    return { refused: 'unknown' };
  }
  return inTurn(node.id, async () => answer(parts, await parts.db.nodes.get(node.id), request));
}

async function findNode(parts: WorkflowParts, addresses: readonly string[], nodeUuid: string | undefined): Promise<NodeRow | null> {
  if (nodeUuid !== undefined) return parts.db.nodes.find(nodeUuid);
  const found = await parts.db.nodes.findByAddresses(addresses.map((address) => address.toLowerCase()));
  return found.length === 1 ? (found[0] ?? null) : null;
}

async function answer(parts: WorkflowParts, node: NodeRow, { nonce, peer }: LookupRequest): Promise<LookupResult> {
  const refuse = async (reason: string): Promise<LookupResult> => {
    await raiseAlarm(parts, node, peer, reason);
    return { refused: 'alarm' };
  };
  if (node.ramdiskBoot === 'armed') return refuse('a machine looked itself up as this node, whose ramdisk nobody has fetched yet');
  const { bootNonceHash } = node;
  if (bootNonceHash !== null) {
    if (secondLookupOf(node) !== null) return refuse('a machine looked itself up as this node, whose boot is not trusted any more');
    if (nonce === undefined) return refuse('a machine looked itself up as this node without the nonce of its boot');
    if (!sameHash(bootNonceHash, hashCredential(nonce))) return refuse('a machine looked itself up as this node with another nonce than that of its boot');
    // the token is void once the ramdisk has been switched off, while its nonce stays known until the work has ended;
    // that somebody has asked for the boot script again (`left`) proves nothing: anybody in the network can
    if (node.agentToken !== null || node.ramdiskBoot === null) {
      await parts.db.nodes.update(node.id, markSecondLookup(peer));
      await raiseAlarm(parts, node, peer, 'a second machine looked itself up as this node within one boot, with the right nonce');
      return { refused: 'second', nodeId: node.id };
    }
  }
  const agentToken = node.agentToken === null ? randomBytes(TOKEN_BYTES).toString('base64url') : HIDDEN_TOKEN;
  if (agentToken !== HIDDEN_TOKEN) await parts.db.nodes.update(node.id, { agentToken });
  parts.log.info({ node: node.uuid, peer, tokenGiven: agentToken !== HIDDEN_TOKEN }, 'ramdisk looked itself up');
  return { answer: { node: await parts.db.nodes.get(node.id), agentToken, heartbeatTimeoutS: parts.times.heartbeatTimeoutMs / 1000 } };
}

const sameHash = (stored: string, found: string): boolean => stored.length === found.length && timingSafeEqual(Buffer.from(stored), Buffer.from(found));

/** When the history was last told of an alarm, by node. */
const toldAt = new Map<string, number>();

async function raiseAlarm(parts: WorkflowParts, node: NodeRow, peer: string, reason: string): Promise<void> {
  parts.log.warn({ node: node.uuid, peer, alarm: true }, `alarm: ${reason}`);
  const now = Date.now();
  for (const [uuid, at] of toldAt) if (now - at >= ALARM_LINE_INTERVAL_MS) toldAt.delete(uuid);
  if (toldAt.has(node.uuid)) return;
  toldAt.set(node.uuid, now);
  await noteEvent(parts, node, 'conductor', `Alarm: ${reason} (from ${peer}). Further ones are in the log only, for a minute.`, { error: true });
}

/** Lookups that come at once must not both be given a token. */
const underWay = new Map<number, Promise<unknown>>();

async function inTurn<T>(nodeId: number, work: () => Promise<T>): Promise<T> {
  const before = underWay.get(nodeId) ?? Promise.resolve();
  const mine = before.then(work, work); // whatever became of the one before
  underWay.set(nodeId, mine);
  try {
    return await mine;
  } finally {
    if (underWay.get(nodeId) === mine) underWay.delete(nodeId);
  }
}
