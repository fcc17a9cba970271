import { ForbiddenError } from '../../protocol/errors.ts';
import type { KeystoneToken } from '../../protocol/keystone.ts';
import type { Caller } from '../workflow/workflow.ts';

/** As in Ironic, role `service` is the cloud's own only in the project that is for services. */
const SERVICE_PROJECT = 'service';
const DEFAULT_DOMAIN = 'default';

/**
 * Who a token stands for: `admin` (also in any project, as Ironic's own default has it, unless Keystone has an admin
 * project and this is another), a project's people, or those of the system, for whom every node counts as their own.
 * @throws ForbiddenError for a token whose roles or scope give nothing here.
 */
export function callerOf(token: KeystoneToken): Caller {
  const scope = token.project ? 'project' : token.system?.all === true ? 'system' : undefined;
  const access = scope === undefined ? undefined : accessOf(token);
  if (scope === undefined) throw new ForbiddenError('The token has no scope that counts here: ask Keystone for one scoped to a project or to the system.');
  if (access === undefined) throw new ForbiddenError(`The token's roles (${token.roles.map(({ name }) => name).join(', ') || 'none'}) give no access to this service: expected admin, service, manager, member or reader.`);
  return { user: token.user.name, projectId: token.project?.id ?? null, access, scope };
}

function accessOf({ roles, project, is_admin_project: isAdminProject }: KeystoneToken): Caller['access'] | undefined {
  const has = (...names: string[]): boolean => roles.some(({ name }) => names.includes(name.toLowerCase()));
  const isOfServices = !project || (project.name === SERVICE_PROJECT && project.domain.id === DEFAULT_DOMAIN);
  if ((has('admin') && isAdminProject !== false) || (has('service') && isOfServices)) return 'admin';
  if (has('admin', 'service', 'manager', 'member')) return 'project';
  return has('reader') ? 'reader' : undefined;
}
