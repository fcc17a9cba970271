import { InvalidParameterError } from '../../protocol/errors.ts';
import { requireVersion } from './microversion.ts';
import type { ValueSchema } from './value-schemas.ts';

/** A field of a resource and the microversion at which it appeared. */
export interface VersionedField {
  readonly name: string;
  /** Since when requests may name it. */
  readonly since: number;
  /** Since when replies have it, where that is not the same. */
  readonly shownSince?: number;
  readonly schema: ValueSchema;
}

/** Microversions of `?fields=` and `?detail=` on lists. */
export const FIELDS_QUERY_MICROVERSION = 8;
export const DETAIL_QUERY_MICROVERSION = 43;

/**
 * Which fields a reply has: those asked for, all with `detail`, otherwise the default ones; never one newer than the version.
 * @throws InvalidParameterError for a name that is no field and for both at once; NotAcceptableError for one that is too new.
 */
export function selectFields<Field extends VersionedField>(all: readonly Field[], asked: { fields?: readonly string[]; detail?: boolean }, byDefault: readonly string[] | 'all', minor: number, detailSince = DETAIL_QUERY_MICROVERSION): readonly Field[] {
  const visible = all.filter(({ since, shownSince }) => (shownSince ?? since) <= minor);
  if (asked.detail !== undefined) requireVersion(minor, detailSince, 'detail');
  if (asked.fields !== undefined) {
    requireVersion(minor, FIELDS_QUERY_MICROVERSION, 'fields');
    if (asked.detail) throw new InvalidParameterError('Can not specify ?detail=True and fields in the same request.');
    const unknown = asked.fields.filter((name) => !all.some((field) => field.name === name));
    if (unknown.length > 0) throw new InvalidParameterError(`Field(s) "${unknown.join(', ')}" are not valid`);
    for (const name of asked.fields) requireVersion(minor, all.find((field) => field.name === name)?.since ?? 1, `Field ${name}`);
    return visible.filter(({ name }) => asked.fields?.includes(name));
  }
  return asked.detail || byDefault === 'all' ? visible : visible.filter(({ name }) => byDefault.includes(name));
}
