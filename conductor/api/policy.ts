import type { Request } from 'express';
import { ForbiddenError, NotFoundError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { Database } from '../db/database.ts';
import type { NodeRow } from '../db/rows.ts';
import type { Caller } from '../workflow/workflow.ts';
import { rightFor, type Right } from './policy-table.ts';

/** Refuses a request that its caller may not make; `path` is the pattern of the resource. */
export type Policy = (request: Request, path: string, caller: Caller) => Promise<void>;

/**
 * The one place that decides who may do what. Administrators may do everything and cost no query. For everybody else the
 * node that the request is about is looked up: one that he may not see does not exist for him (404); what he may see but not
 * do is 403. What cannot be looked up is refused.
 */
export function createPolicy(db: Database): Policy {
  return async (request, path, caller) => {
    if (caller.access === 'admin') return;
    const right = rightFor(request, path);
    if (right === 'public' || right === 'sign in') return;
    const target = await findTarget(db, request, path);
    if (target && !maySee(caller, target.node)) throw new NotFoundError(`${target.name} could not be found.`);
    const allowed = right === 'observe' ? caller.scope === 'system' : target !== undefined && mayTreat(caller, right, target.node);
    if (!allowed) throw new ForbiddenError(`Your roles and your project do not allow this request (${request.method} ${path}): ask the node's owner or an administrator.`);
  };
}

/** Whether the node exists for this caller. */
export const maySee = (caller: Caller, node: NodeRow | null): boolean => mayTreat(caller, 'see', node);

/** The project whose nodes are all that the caller may see; undefined: no limit. */
export const visibleProject = (caller: Caller): string | undefined => (seesAll(caller) ? undefined : (caller.projectId ?? NO_PROJECT));

/** What of a node's reply is for its owner only: a lessee has no business with the BMC. */
export function hideFromLessee(caller: Caller, node: NodeRow, shown: JsonObject): void {
  if (shown['driver_info'] !== undefined && !mayTreat(caller, 'see as owner', node)) shown['driver_info'] = { content: '** Redacted: for the owner of the node **' };
}

/** No node has it as owner or lessee: who is of no project and not of the system sees nothing. */
const NO_PROJECT = '';

const seesAll = (caller: Caller): boolean => caller.access === 'admin' || caller.scope === 'system';

function mayTreat(caller: Caller, right: Right, node: NodeRow | null): boolean {
  if (!node) return false;
  const { projectId } = caller;
  const owns = seesAll(caller) || (projectId !== null && node.owner === projectId);
  const uses = owns || (projectId !== null && node.lessee === projectId);
  if (right === 'see') return uses;
  if (right === 'see as owner') return owns;
  if (caller.access === 'reader') return false;
  return (right === 'own' && owns) || (right === 'use' && uses);
}

interface Target {
  /** Null when there is none. */
  node: NodeRow | null;
  /** What the caller calls it. */
  name: string;
}

/** What a node has besides itself, by its path. */
const PARTS: Readonly<Record<string, { noun: string; find: (db: Database, ident: string) => Promise<{ nodeId: number } | null> }>> = {
  ports: { noun: 'Port', find: (db, ident) => db.ports.find(ident) },
  portgroups: { noun: 'Portgroup', find: (db, ident) => db.portgroups.find(ident) },
  'volume/connectors': { noun: 'Volume connector', find: (db, ident) => db.volumeConnectors.find(ident) },
  'volume/targets': { noun: 'Volume target', find: (db, ident) => db.volumeTargets.find(ident) },
};

/** The node that a request is about: by its path, or by the body of a part that is created; undefined when it is about none. */
async function findTarget(db: Database, request: Request, path: string): Promise<Target | undefined> {
  const [, kind = '', parameter] = /^\/(nodes|ports|portgroups|volume\/\w+)(?:\/:(\w+)|$)/.exec(path) ?? [];
  if (kind === 'nodes') return parameter === undefined ? undefined : findNode(db, String(request.params[parameter]));
  const part = PARTS[kind];
  if (!part) return undefined;
  if (parameter === undefined) {
    const { node_uuid: uuid, node_ident: ident } = (request.body ?? {}) as { node_uuid?: unknown; node_ident?: unknown };
    return findNode(db, String(uuid ?? ident));
  }
  const ident = String(request.params[parameter]);
  const found = await part.find(db, ident);
  return { node: found && (await db.nodes.get(found.nodeId)), name: `${part.noun} ${ident}` };
}

const findNode = async (db: Database, ident: string): Promise<Target> => ({ node: await db.nodes.find(ident), name: `Node ${ident}` });
