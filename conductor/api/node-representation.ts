import type { JsonObject } from '../../protocol/json.ts';
import { NotFoundError } from '../../protocol/errors.ts';
import { UUID_PATTERN } from '../../protocol/provision.ts';
import type { NodeRow } from '../db/rows.ts';
import type { ApiDependencies } from './dependencies.ts';
import { linksTo } from './links.ts';
import type { NodeField } from './node-fields.ts';
import { hideFromLessee, maySee } from './policy.ts';
import type { RequestContext } from './request-context.ts';

/** Parts of a node with their own address, and since when it is told. */
export const SUBRESOURCES: Readonly<Record<string, number>> = { ports: 1, states: 14, portgroups: 24, volume: 32 };

/**
 * Nodes as replies show them: these fields and links. Traits, snapshots and operations of all nodes are read at once, and only when shown.
 * @param whole with the links to the parts of a node, as in replies that were not cut down to some fields.
 */
export async function representNodes(deps: ApiDependencies, nodes: readonly NodeRow[], fields: readonly NodeField[], { minor, baseUrl, caller }: RequestContext, whole: boolean): Promise<JsonObject[]> {
  const ids = nodes.map((node) => node.id);
  const shows = (name: string): boolean => ids.length > 0 && fields.some((field) => field.name === name);
  const traits = shows('traits') ? await deps.db.traits.listOfMany(ids) : new Map<number, string[]>();
  const snapshots = shows('driver_internal_info') ? await deps.db.snapshots.latestOfMany(ids) : undefined;
  const operations = shows('driver_internal_info') ? await deps.db.operations.latestOfMany(ids) : undefined;
  return nodes.map((node) => {
    const around = { conductorName: deps.config.conductorName, traits: traits.get(node.id) ?? [], snapshot: snapshots?.get(node.id), operation: operations?.get(node.id), minor };
    const shown: JsonObject = Object.fromEntries(fields.map((field) => [field.name, field.show(node, around)]));
    hideFromLessee(caller, node, shown);
    shown['links'] = linksOf(baseUrl, `nodes/${node.uuid}`);
    if (whole) {
      for (const [part, since] of Object.entries(SUBRESOURCES)) if (minor >= since) shown[part] = linksOf(baseUrl, `nodes/${node.uuid}/${part}`);
    }
    return shown;
  });
}

/** One node; see representNodes. */
export async function representNode(deps: ApiDependencies, node: NodeRow, fields: readonly NodeField[], context: RequestContext, whole: boolean): Promise<JsonObject> {
  const [shown] = await representNodes(deps, [node], fields, context, whole);
  return shown ?? {};
}

const linksOf = (baseUrl: string, path: string): JsonObject[] => linksTo(baseUrl, path).map((link) => ({ ...link }));

const NODE_NAME_MICROVERSION = 5;

/** By UUID, or by name where the version knows names. @throws NotFoundError in Ironic's words. */
export async function findNode(deps: ApiDependencies, ident: string, { minor, caller }: RequestContext): Promise<NodeRow> {
  const node = minor >= NODE_NAME_MICROVERSION || UUID_PATTERN.test(ident) ? await deps.db.nodes.find(ident) : null;
  if (!node || !maySee(caller, node)) throw new NotFoundError(`Node ${ident} could not be found.`, { node: ident });
  return node;
}
