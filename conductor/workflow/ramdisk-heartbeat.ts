import { timingSafeEqual } from 'node:crypto';
import type { HeartbeatBody } from '../../protocol/agent-api.ts';
import { InvalidParameterError, NotFoundError } from '../../protocol/errors.ts';
import type { NodeRow } from '../db/rows.ts';
import { checkCallbackAddress } from './callback-address.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Checks who speaks and stores where it can be reached.
 * @param peer address of its connection.
 * @throws NotFoundError for an unknown node; InvalidParameterError for a wrong token, an address or a certificate that changed, a callback without TLS or to somewhere else.
 */
export async function acceptHeartbeat(parts: WorkflowParts, nodeUuid: string, body: HeartbeatBody, peer: string): Promise<NodeRow> {
  const node = await parts.db.nodes.find(nodeUuid);
  if (!node) throw new NotFoundError(`Node ${nodeUuid} could not be found.`);
  if (!sameToken(node.agentToken, body.agent_token)) {
    parts.log.warn({ node: node.uuid, peer }, 'heartbeat with a wrong token');
    throw new InvalidParameterError('Missing or invalid agent token received.');
  }
  if (!body.callback_url.startsWith('https://')) throw new InvalidParameterError(`callback_url: expected an https URL, found ${body.callback_url}: the agent is spoken to with TLS only.`);
  if (node.agentUrl !== null && node.agentUrl !== body.callback_url) throw new InvalidParameterError('Detected change in ramdisk provided "callback_url"');
  if (node.agentVerifyCa !== null && body.agent_verify_ca !== undefined && node.agentVerifyCa !== body.agent_verify_ca) throw new InvalidParameterError('The agent\'s certificate changed since its first heartbeat');
  if (node.agentUrl === null) await checkCallbackAddress(body.callback_url, peer, parts.callbackNetworks);
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
