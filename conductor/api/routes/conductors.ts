import type { Router } from 'express';
import { NotFoundError } from '../../../protocol/errors.ts';
import type { Json, JsonObject } from '../../../protocol/json.ts';
import type { ConductorRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields, type VersionedField } from '../field-selection.ts';
import { linksTo } from '../links.ts';
import { MAX_LIMIT } from '../pages.ts';
import { booleanLike, commaList, queryOf } from '../request-documents.ts';
import { parameter, resource } from '../resource.ts';
import { formatTime } from '../timestamps.ts';

const CONDUCTORS_MICROVERSION = 49;
/** A conductor that has not said so for this long is not alive (Ironic's heartbeat_timeout). */
const ALIVE_WITHIN_MS = 60_000;

interface ConductorField extends VersionedField {
  show(conductor: ConductorRow): Json;
}
const FIELDS: readonly ConductorField[] = [
  { name: 'created_at', since: 1, show: (conductor) => formatTime(conductor.createdAt) },
  { name: 'updated_at', since: 1, show: (conductor) => formatTime(conductor.updatedAt) },
  { name: 'hostname', since: 1, show: (conductor) => conductor.hostname },
  { name: 'conductor_group', since: 1, show: (conductor) => conductor.conductorGroup },
  { name: 'drivers', since: 1, show: (conductor) => conductor.drivers },
  { name: 'alive', since: 1, show: (conductor) => Date.now() - conductor.updatedAt.getTime() < ALIVE_WITHIN_MS },
];
const DEFAULT_FIELDS = ['hostname', 'conductor_group', 'alive'];

/** `/v1/conductors`: never more than a few, so that there is one page of them. */
export function conductorRoutes(router: Router, deps: ApiDependencies): void {
  resource(
    router,
    '/conductors',
    {
      GET: async (request, response, context) => {
        const { fields, detail } = queryOf(request, { fields: commaList.optional(), detail: booleanLike.optional() });
        const selected = selectFields(FIELDS, { fields, detail }, DEFAULT_FIELDS, context.minor);
        const conductors = (await deps.db.conductors.list()).slice(0, MAX_LIMIT);
        response.json({ conductors: conductors.map((conductor) => represent(conductor, selected, context.baseUrl)) });
      },
    },
    CONDUCTORS_MICROVERSION,
  );
  resource(
    router,
    '/conductors/:hostname',
    {
      GET: async (request, response, context) => {
        const { fields } = queryOf(request, { fields: commaList.optional() });
        const selected = selectFields(FIELDS, { fields }, 'all', context.minor);
        const hostname = parameter(request, 'hostname');
        const conductor = await deps.db.conductors.find(hostname);
        if (!conductor) throw new NotFoundError(`Conductor ${hostname} could not be found.`);
        response.json(represent(conductor, selected, context.baseUrl));
      },
    },
    CONDUCTORS_MICROVERSION,
  );
}

function represent(conductor: ConductorRow, fields: readonly ConductorField[], baseUrl: string): JsonObject {
  return { ...Object.fromEntries(fields.map((field) => [field.name, field.show(conductor)])), links: linksTo(baseUrl, `conductors/${conductor.hostname}`).map((link) => ({ ...link })) };
}
