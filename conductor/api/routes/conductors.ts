import type { Router } from 'express';
import { z } from 'zod';
import { NotFoundError } from '../../../protocol/errors.ts';
import type { Json, JsonObject } from '../../../protocol/json.ts';
import type { ConductorRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields, type VersionedField } from '../field-selection.ts';
import { linksTo } from '../links.ts';
import { cutRows, pageOf, pageQuery } from '../pages.ts';
import { booleanLike, commaList, queryOf } from '../request-documents.ts';
import { parameter, resource } from '../resource.ts';
import { formatTime } from '../timestamps.ts';
import { arrayOf, flag, text, time } from '../value-schemas.ts';

const CONDUCTORS_MICROVERSION = 49;
/** A conductor that has not said so for this long is not alive (Ironic's heartbeat_timeout). */
const ALIVE_WITHIN_MS = 60_000;

interface ConductorField extends VersionedField {
  show(conductor: ConductorRow): Json;
}
export const CONDUCTOR_FIELDS: readonly ConductorField[] = [
  { name: 'created_at', since: 1, schema: time, show: (conductor) => formatTime(conductor.createdAt) },
  { name: 'updated_at', since: 1, schema: time, show: (conductor) => formatTime(conductor.updatedAt) },
  { name: 'hostname', since: 1, schema: text, show: (conductor) => conductor.hostname },
  { name: 'conductor_group', since: 1, schema: text, show: (conductor) => conductor.conductorGroup },
  { name: 'drivers', since: 1, schema: arrayOf(text), show: (conductor) => conductor.drivers },
  { name: 'alive', since: 1, schema: flag, show: (conductor) => Date.now() - conductor.updatedAt.getTime() < ALIVE_WITHIN_MS },
];
const DEFAULT_FIELDS = ['hostname', 'conductor_group', 'alive'];

export const conductorListQuery = { ...pageQuery, marker: z.string().optional(), fields: commaList.optional(), detail: booleanLike.optional() };

const SORT_KEYS = { id: 'id', hostname: 'hostname', conductor_group: 'conductorGroup', created_at: 'createdAt', updated_at: 'updatedAt' } as const;

/** `/v1/conductors`: never more than a few, so that all are read and the page is cut here. Their marker is a host name. */
export function conductorRoutes(router: Router, deps: ApiDependencies): void {
  resource(
    router,
    '/conductors',
    {
      GET: async (request, response, context) => {
        const { fields, detail, marker, ...paging } = queryOf(request, conductorListQuery);
        const selected = selectFields(CONDUCTOR_FIELDS, { fields, detail }, DEFAULT_FIELDS, context.minor);
        const page = pageOf(paging, SORT_KEYS);
        const { rows, next } = cutRows(after(sorted(await deps.db.conductors.list(), page), marker), page, ({ hostname }) => hostname, request, context.baseUrl);
        response.json({ conductors: rows.map((conductor) => represent(conductor, selected, context.baseUrl)), ...(next === undefined ? {} : { next }) });
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
        const selected = selectFields(CONDUCTOR_FIELDS, { fields }, 'all', context.minor);
        const hostname = parameter(request, 'hostname');
        const conductor = await deps.db.conductors.find(hostname);
        if (!conductor) throw new NotFoundError(`Conductor ${hostname} could not be found.`);
        response.json(represent(conductor, selected, context.baseUrl));
      },
    },
    CONDUCTORS_MICROVERSION,
  );
}

function sorted(conductors: readonly ConductorRow[], { sortKey, sortDir }: { sortKey: (typeof SORT_KEYS)[keyof typeof SORT_KEYS]; sortDir: 'asc' | 'desc' }): ConductorRow[] {
  const sign = sortDir === 'asc' ? 1 : -1;
  return [...conductors].sort((one, other) => sign * (one[sortKey] < other[sortKey] ? -1 : one[sortKey] > other[sortKey] ? 1 : one.id - other.id));
}

function after(conductors: readonly ConductorRow[], marker: string | undefined): readonly ConductorRow[] {
  if (marker === undefined) return conductors;
  const at = conductors.findIndex(({ hostname }) => hostname === marker);
  if (at < 0) throw new NotFoundError(`Conductor ${marker} could not be found.`);
  return conductors.slice(at + 1);
}

function represent(conductor: ConductorRow, fields: readonly ConductorField[], baseUrl: string): JsonObject {
  return { ...Object.fromEntries(fields.map((field) => [field.name, field.show(conductor)])), links: linksTo(baseUrl, `conductors/${conductor.hostname}`).map((link) => ({ ...link })) };
}
