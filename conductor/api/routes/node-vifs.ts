import type { Router } from 'express';
import { z } from 'zod';
import { InvalidParameterError } from '../../../protocol/errors.ts';
import { UUID_PATTERN } from '../../../protocol/provision.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { findNode } from '../node-representation.ts';
import { bodyOf, check, logicalName } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const VIFS_MICROVERSION = 28;
/** Since when a VIF may name the port that it wants. */
const VIF_PORT_MICROVERSION = 67;

const vifId = z.union([z.string().regex(UUID_PATTERN), logicalName([])], { error: 'expected a UUID or a name' });
export const vifSchema = z.looseObject({ id: vifId });

/**
 * `/v1/nodes/{ident}/vifs`. The only network interface is `noop`, whose meaning is Ironic's: networks are somebody else's
 * business, so an attachment is taken note of by nobody, the list stays empty, and a detachment finds nothing to do.
 */
export function nodeVifRoutes(router: Router, deps: ApiDependencies): void {
  resource(
    router,
    '/nodes/:ident/vifs',
    {
      GET: async (request, response, context) => {
        await findNode(deps, parameter(request, 'ident'), context);
        response.json({ vifs: [] });
      },
      POST: async (request, response, context) => {
        const vif = bodyOf(request, vifSchema);
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        if (context.minor >= VIF_PORT_MICROVERSION && 'port_uuid' in vif && 'portgroup_uuid' in vif) throw new InvalidParameterError('Cannot specify both port_uuid and portgroup_uuid');
        await deps.workflow.withLock(uuid, () => Promise.resolve());
        endEmpty(response, 204);
      },
    },
    VIFS_MICROVERSION,
  );
  resource(
    router,
    '/nodes/:ident/vifs/:vif',
    {
      DELETE: async (request, response, context) => {
        check(vifId, parameter(request, 'vif'), 'VIF');
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        await deps.workflow.withLock(uuid, () => Promise.resolve());
        endEmpty(response, 204);
      },
    },
    VIFS_MICROVERSION,
  );
}
