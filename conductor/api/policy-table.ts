import type { Request } from 'express';
import { fieldOf, type JsonPatch } from './json-patch.ts';

/**
 * What a request needs. About one node: `see` and `see as owner` (also for readers), `use` (owner or lessee) and `own`.
 * `sign in` is for whoever has a role here, and lists show only what he may see; `observe` and `administer` are for people of
 * the whole installation.
 */
export type Right = 'public' | 'sign in' | 'see' | 'see as owner' | 'use' | 'own' | 'observe' | 'administer';
type Rule = Right | ((body: unknown) => Right);
type Rules = Readonly<Record<string, Rule>>;

/** Targets of a lessee: he puts his system on the server and gives the server back. */
const LESSEE_TARGETS = ['active', 'deploy', 'rebuild', 'deleted', 'undeploy'];
const LESSEE_FIELDS = ['instance_info', 'extra'];
/** To whom a node belongs and who serves it, and whether it is cleaned between two users. */
const ADMINISTRATORS_FIELDS = ['owner', 'conductor_group', 'chassis_uuid', 'shard', 'automated_clean'];

const provisionRight = (body: unknown): Right => (LESSEE_TARGETS.includes(String((body as { target?: unknown } | null)?.target)) ? 'use' : 'own');
const nodePatchRight = (body: unknown): Right => {
  const fields = patchedFields(body);
  if (fields.some((field) => ADMINISTRATORS_FIELDS.includes(field))) return 'administer';
  return fields.length > 0 && fields.every((field) => LESSEE_FIELDS.includes(field)) ? 'use' : 'own';
};
/** A thing of one node does not become another's by the first one's right. */
const partPatchRight = (right: Right) => (body: unknown): Right => (patchedFields(body).includes('node_uuid') ? 'administer' : right);

const LIST: Rules = { GET: 'sign in' };
const PART_OF_NODE: Rules = { GET: 'see' };
const BY_OWNER: Rules = { GET: 'see', PATCH: partPatchRight('own'), DELETE: 'own' };
const BY_USER: Rules = { GET: 'see', PATCH: partPatchRight('use'), DELETE: 'use' };

/** Right by resource and method, along Ironic's default policies for owners and lessees (`baremetal:node:*` and its neighbours). */
const TABLE: Readonly<Record<string, Rules>> = {
  '/': { GET: 'public' },
  '/v1': { GET: 'public' },
  '/openapi.json': { GET: 'sign in' },
  '/nodes': { GET: 'sign in', POST: 'administer' },
  '/nodes/detail': LIST,
  '/nodes/:ident': { GET: 'see', PATCH: nodePatchRight, DELETE: 'administer' },
  '/nodes/:ident/states': PART_OF_NODE,
  '/nodes/:ident/states/provision': { PUT: provisionRight },
  '/nodes/:ident/states/power': { PUT: 'use' },
  '/nodes/:ident/states/boot_mode': { PUT: 'use' },
  '/nodes/:ident/states/secure_boot': { PUT: 'use' },
  '/nodes/:ident/states/raid': { PUT: 'own' },
  '/nodes/:ident/maintenance': { PUT: 'own', DELETE: 'own' },
  '/nodes/:ident/validate': { GET: 'use' },
  '/nodes/:ident/management/boot_device': { GET: 'see as owner', PUT: 'own' },
  '/nodes/:ident/management/boot_device/supported': { GET: 'see as owner' },
  '/nodes/:ident/management/inject_nmi': { PUT: 'own' },
  '/nodes/:ident/management/indicators': PART_OF_NODE,
  '/nodes/:ident/vifs': { GET: 'see', POST: 'use' },
  '/nodes/:ident/vifs/:vif': { DELETE: 'use' },
  '/nodes/:ident/traits': { GET: 'see', PUT: 'own', DELETE: 'own' },
  '/nodes/:ident/traits/:trait': { PUT: 'own', DELETE: 'own' },
  '/nodes/:ident/history': { GET: 'see as owner' },
  '/nodes/:ident/history/detail': { GET: 'see as owner' },
  '/nodes/:ident/history/:event': { GET: 'see as owner' },
  '/nodes/:ident/inventory': { GET: 'see as owner' },
  '/nodes/:ident/ports': PART_OF_NODE,
  '/nodes/:ident/ports/detail': PART_OF_NODE,
  '/nodes/:ident/portgroups': PART_OF_NODE,
  '/nodes/:ident/portgroups/detail': PART_OF_NODE,
  '/nodes/:ident/volume': PART_OF_NODE,
  '/nodes/:ident/volume/connectors': PART_OF_NODE,
  '/nodes/:ident/volume/targets': PART_OF_NODE,
  '/ports': { GET: 'sign in', POST: 'own' },
  '/ports/detail': LIST,
  '/ports/:ident': BY_OWNER,
  '/portgroups': { GET: 'sign in', POST: 'own' },
  '/portgroups/detail': LIST,
  '/portgroups/:ident': BY_OWNER,
  '/portgroups/:ident/ports': PART_OF_NODE,
  '/portgroups/:ident/ports/detail': PART_OF_NODE,
  '/volume': LIST,
  '/volume/connectors': { GET: 'sign in', POST: 'use' },
  '/volume/connectors/:ident': BY_USER,
  '/volume/targets': { GET: 'sign in', POST: 'use' },
  '/volume/targets/:ident': BY_USER,
  '/drivers': { GET: 'observe' },
  '/drivers/:name': { GET: 'observe' },
  '/drivers/:name/properties': { GET: 'observe' },
  '/conductors': { GET: 'observe' },
  '/conductors/:hostname': { GET: 'observe' },
  // a machine's words: on the admin API, where everybody has signed in, nobody but administrators stands in for one
  '/lookup': { GET: 'administer' },
  '/heartbeat/:ident': { POST: 'administer' },
};

/** Whatever its first parameter is called. */
const nameOf = (path: string): string => path.replace(/\/:\w+/, (parameter) => (/^\/(nodes|ports|portgroups|volume)\//.test(path) ? '/:ident' : parameter));

/** The rule of a resource, if it has one. */
export const ruleOf = (method: string, path: string): Rule | undefined => TABLE[nameOf(path)]?.[method === 'HEAD' ? 'GET' : method];

/** What this request to the resource `path` needs. A resource that nobody has thought of is for administrators. */
export function rightFor({ method, body }: Pick<Request, 'method' | 'body'>, path: string): Right {
  const rule = ruleOf(method, path) ?? 'administer';
  return typeof rule === 'function' ? rule(body) : rule;
}

/** Fields that a JSON patch names; what is no operation is for the resource to refuse. */
function patchedFields(body: unknown): string[] {
  if (!Array.isArray(body)) return [];
  return body.map((operation: unknown) => {
    const path = (operation as { path?: unknown } | null)?.path;
    return typeof path === 'string' ? fieldOf({ path } as JsonPatch[number]) : '';
  });
}
