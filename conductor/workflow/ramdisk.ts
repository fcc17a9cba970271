import { randomBytes, timingSafeEqual } from 'node:crypto';
import { HIDDEN_TOKEN, type HeartbeatBody } from '../../protocol/agent-api.ts';
import { InvalidParameterError, NotFoundError } from '../../protocol/errors.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** Bytes of an agent token; 43 characters in base64url, as Ironic's. */
const TOKEN_BYTES = 32;

/**
 * The node that a ramdisk with these addresses runs on. The token is given once per ramdisk boot; whoever comes later gets
 * it hidden. Null for everything else: unknown addresses, several nodes, a node where no ramdisk is expected.
 */
export async function lookup(parts: WorkflowParts, addresses: readonly string[], nodeUuid: string | undefined): Promise<{ node: NodeRow; agentToken: string; heartbeatTimeoutS: number } | null> {
  const node = await findNode(parts, addresses, nodeUuid);
  if (!node || !hasTag(node.provisionState, 'lookup')) {
    parts.log.info({ addresses, nodeUuid, state: node?.provisionState }, 'lookup refused');
    return null;
  }
  const agentToken = await issueToken(parts, node);
  parts.log.info({ node: node.uuid, tokenGiven: agentToken !== HIDDEN_TOKEN }, 'ramdisk looked itself up');
  return { node, agentToken, heartbeatTimeoutS: parts.times.heartbeatTimeoutMs / 1000 };
}

async function findNode(parts: WorkflowParts, addresses: readonly string[], nodeUuid: string | undefined): Promise<NodeRow | null> {
  if (nodeUuid !== undefined) return parts.db.nodes.find(nodeUuid);
  const found = await parts.db.nodes.findByAddresses(addresses.map((address) => address.toLowerCase()));
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** Lookups that come at once must not both be given a token. */
const issuing = new Map<number, Promise<string>>();

async function issueToken(parts: WorkflowParts, node: NodeRow): Promise<string> {
  const before = issuing.get(node.id) ?? Promise.resolve('');
  const issued = before.then(async () => {
    if ((await parts.db.nodes.get(node.id)).agentToken !== null) return HIDDEN_TOKEN;
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    await parts.db.nodes.update(node.id, { agentToken: token });
    return token;
  });
  issuing.set(node.id, issued);
  try {
    return await issued;
  } finally {
    if (issuing.get(node.id) === issued) issuing.delete(node.id);
  }
}

/**
 * Checks who speaks and stores where it can be reached.
 * @throws NotFoundError for an unknown node; InvalidParameterError for a wrong token, an address or a certificate that changed, or a callback without TLS.
 */
export async function acceptHeartbeat(parts: WorkflowParts, nodeUuid: string, body: HeartbeatBody): Promise<NodeRow> {
  const node = await parts.db.nodes.find(nodeUuid);
  if (!node) throw new NotFoundError(`Node ${nodeUuid} could not be found.`);
  if (!sameToken(node.agentToken, body.agent_token)) {
    parts.log.warn({ node: node.uuid }, 'heartbeat with a wrong token');
    throw new InvalidParameterError('Missing or invalid agent token received.');
  }
  if (!body.callback_url.startsWith('https://')) throw new InvalidParameterError(`callback_url: expected an https URL, found ${body.callback_url}: the agent is spoken to with TLS only.`);
  if (node.agentUrl !== null && node.agentUrl !== body.callback_url) throw new InvalidParameterError('Detected change in ramdisk provided "callback_url"');
  if (node.agentVerifyCa !== null && body.agent_verify_ca !== undefined && node.agentVerifyCa !== body.agent_verify_ca) throw new InvalidParameterError('The agent\'s certificate changed since its first heartbeat');
  await parts.db.nodes.update(node.id, {
    agentUrl: body.callback_url,
    agentVersion: body.agent_version ?? node.agentVersion,
    agentVerifyCa: body.agent_verify_ca ?? node.agentVerifyCa,
    agentLastHeartbeatAt: new Date(),
  });
  return parts.db.nodes.get(node.id);
}

function sameToken(stored: string | null, given: string): boolean {
  if (stored === null) return false;
  const [expected, found] = [Buffer.from(stored), Buffer.from(given)];
  return expected.length === found.length && timingSafeEqual(expected, found);
}
