import type { Router } from 'express';
import { z } from 'zod';
import { InvalidParameterError, NotFoundError } from '../../../protocol/errors.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { findNode } from '../node-representation.ts';
import { bodyOf, check } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const TRAITS_MICROVERSION = 37;
const MAX_TRAITS = 50;
/** Standard traits are known by their name space: the catalogue grows with every OpenStack release. */
const traitName = z
  .string()
  .max(255)
  .regex(/^(CUSTOM|HW|COMPUTE|STORAGE|MISC|OWNER|QUANTUM|HOST)_[A-Z0-9_]+$/, 'A custom trait must start with the prefix CUSTOM_ and use the characters A-Z, 0-9 and _');
export const traitsSchema = z.strictObject({ traits: z.array(traitName).max(MAX_TRAITS, `a node has at most ${MAX_TRAITS} traits`) });

/** `/v1/nodes/{ident}/traits`. */
export function nodeTraitsRoutes(router: Router, deps: ApiDependencies): void {
  resource(
    router,
    '/nodes/:ident/traits',
    {
      GET: async (request, response, context) => {
        const node = await findNode(deps, parameter(request, 'ident'), context);
        response.json({ traits: await deps.db.traits.listOf(node.id) });
      },
      PUT: async (request, response, context) => {
        const { traits } = bodyOf(request, traitsSchema);
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        await deps.workflow.withLock(uuid, ({ id }) => deps.db.traits.set(id, traits));
        endEmpty(response, 204);
      },
      DELETE: async (request, response, context) => {
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        await deps.workflow.withLock(uuid, ({ id }) => deps.db.traits.set(id, []));
        endEmpty(response, 204);
      },
    },
    TRAITS_MICROVERSION,
  );
  resource(
    router,
    '/nodes/:ident/traits/:trait',
    {
      PUT: async (request, response, context) => {
        const trait = check(traitName, parameter(request, 'trait'), 'trait');
        if (request.body !== undefined && Object.keys(request.body as object).length > 0) throw new InvalidParameterError('No body should be provided when adding a trait');
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        await deps.workflow.withLock(uuid, async ({ id }) => {
          const others = (await deps.db.traits.listOf(id)).filter((other) => other !== trait);
          if (others.length >= MAX_TRAITS) throw new InvalidParameterError(`Error setting traits for node ${uuid}: a node has at most ${MAX_TRAITS} traits`);
          await deps.db.traits.add(id, trait);
        });
        endEmpty(response, 204, `${context.baseUrl}/v1/nodes/${encodeURIComponent(parameter(request, 'ident'))}/traits/${trait}`);
      },
      DELETE: async (request, response, context) => {
        const trait = parameter(request, 'trait');
        const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
        const removed = await deps.workflow.withLock(uuid, ({ id }) => deps.db.traits.remove(id, trait));
        if (!removed) throw new NotFoundError(`Node ${uuid} doesn't have a trait '${trait}'`);
        endEmpty(response, 204);
      },
    },
    TRAITS_MICROVERSION,
  );
}
