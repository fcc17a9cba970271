import type { Router } from 'express';
import { z } from 'zod';
import type { JsonObject } from '../../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../../protocol/microversion.ts';
import { INTERFACE_KINDS } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields, type VersionedField } from '../field-selection.ts';
import { linksTo } from '../links.ts';
import { requireVersion } from '../microversion.ts';
import type { RequestContext } from '../request-context.ts';
import { booleanLike, commaList, queryOf } from '../request-documents.ts';
import { parameter, resource } from '../resource.ts';
import { arrayOf, links, text } from '../value-schemas.ts';

const DYNAMIC_DRIVERS_MICROVERSION = 30;
const FIELDS_MICROVERSION = 77;
const INTERFACE_MICROVERSIONS: Readonly<Record<string, number>> = { storage: 33, rescue: 38, bios: 40, firmware: 86, snapshot: SNAPSHOT_MICROVERSION };

export const DRIVER_SUMMARY: readonly VersionedField[] = [
  { name: 'name', since: 1, schema: text },
  { name: 'hosts', since: 1, schema: arrayOf(text) },
  { name: 'links', since: 1, schema: links },
  { name: 'properties', since: 14, schema: links },
  { name: 'type', since: DYNAMIC_DRIVERS_MICROVERSION, schema: { const: 'dynamic' } },
];
export const DRIVER_INTERFACES: readonly VersionedField[] = [...INTERFACE_KINDS, 'firmware'].flatMap((kind) => {
  const since = INTERFACE_MICROVERSIONS[kind] ?? DYNAMIC_DRIVERS_MICROVERSION;
  return [
    { name: `default_${kind}_interface`, since, schema: text },
    { name: `enabled_${kind}_interfaces`, since, schema: arrayOf(text) },
  ];
});

export const driverListQuery = { type: z.enum(['dynamic', 'classic']).optional(), detail: booleanLike.optional(), fields: commaList.optional() };

/** `/v1/drivers`: the hardware types that this conductor has enabled. */
export function driverRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/drivers', {
    GET: (request, response, context) => {
      const { type, detail, fields } = queryOf(request, driverListQuery);
      if (type !== undefined) requireVersion(context.minor, DYNAMIC_DRIVERS_MICROVERSION, 'type');
      if (detail !== undefined) requireVersion(context.minor, DYNAMIC_DRIVERS_MICROVERSION, 'detail');
      const selected = select(fields, detail ?? false, context.minor);
      const names = type === 'classic' ? [] : deps.hardware.names();
      response.json({ drivers: names.map((name) => represent(deps, name, selected, context)) });
    },
  });
  resource(router, '/drivers/:name', {
    GET: (request, response, context) => {
      const { fields } = queryOf(request, { fields: commaList.optional() });
      response.json(represent(deps, parameter(request, 'name'), select(fields, true, context.minor), context));
    },
  });
  resource(router, '/drivers/:name/properties', {
    GET: (request, response) => {
      response.json(deps.hardware.properties(parameter(request, 'name')));
    },
  });
}

function select(fields: readonly string[] | undefined, detail: boolean, minor: number): readonly VersionedField[] {
  if (fields !== undefined) requireVersion(minor, FIELDS_MICROVERSION, 'fields');
  const all = [...DRIVER_SUMMARY, ...DRIVER_INTERFACES];
  return selectFields(all, { fields }, detail ? 'all' : DRIVER_SUMMARY.map(({ name }) => name), minor);
}

function represent(deps: ApiDependencies, name: string, fields: readonly VersionedField[], { baseUrl }: RequestContext): JsonObject {
  const linksOf = (path: string): JsonObject[] => linksTo(baseUrl, path).map((link) => ({ ...link }));
  const driver: JsonObject = { name, hosts: [deps.config.conductorName], links: linksOf(`drivers/${name}`), properties: linksOf(`drivers/${name}/properties`), type: 'dynamic' };
  const offers = { ...deps.hardware.interfacesOf(name), firmware: { enabled: ['no-firmware'], default: 'no-firmware' } };
  for (const [kind, offer] of Object.entries(offers)) {
    driver[`default_${kind}_interface`] = offer.default;
    driver[`enabled_${kind}_interfaces`] = [...offer.enabled];
  }
  return Object.fromEntries(Object.entries(driver).filter(([field]) => field === 'links' || fields.some((selected) => selected.name === field)));
}
