import type { JsonObject } from '../../../protocol/json.ts';
import type { Arguments } from '../../arguments.ts';
import type { OptionSpec } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { parseKeyValue, parseKeyValues } from '../../key-value.ts';
import type { PatchOperation } from '../node/patch.ts';

/** How a field of a record is given on the command line. */
export type FieldSpec = { field: string; describe: string; required?: boolean; unsettable?: boolean } & (
  | { kind: 'text' | 'node' | 'integer'; option: string; choices?: readonly string[] }
  /** KEY=VALUE, once for each member. */
  | { kind: 'members'; option: string }
  /** One option for true, another for false; unset: the value that it then gets. */
  | { kind: 'truth'; on: string; off?: string; describeOff?: string; unsetTo?: boolean }
);

/** A kind of thing that is created, listed, shown, set, unset and deleted: names and paths as the API has them. */
export interface RecordKind {
  /** Words before the verb: `volume connector`. */
  words: string;
  /** For the positional and sentences: `volume connector`. */
  noun: string;
  identDescribe: string;
  path: string;
  collection: string;
  detailPath?: string;
  defaultFields: readonly string[];
  labels?: Readonly<Record<string, string>>;
  fields: readonly FieldSpec[];
  /** Option of the list, and the query that it becomes. */
  filters: Readonly<Record<string, { query: string; describe: string }>>;
  /** It can be shown by its MAC address. */
  hasAddress?: boolean;
  examples: Readonly<Record<'create' | 'list' | 'show' | 'set' | 'unset' | 'delete', readonly [string, string]>>;
}

/** What `set` and `unset` need to know. */
export type PatchableKind = Pick<RecordKind, 'words' | 'noun' | 'identDescribe' | 'path' | 'fields'> & { examples: Pick<RecordKind['examples'], 'set' | 'unset'> };

const optionsOfField = (spec: FieldSpec): readonly string[] => (spec.kind === 'truth' ? [spec.on, ...(spec.off === undefined ? [] : [spec.off])] : [spec.option]);

/** Options of `create` and `set`. */
export function valueOptions(fields: readonly FieldSpec[], isCreation: boolean): Record<string, OptionSpec> {
  return Object.fromEntries(
    fields.flatMap((spec): [string, OptionSpec][] => {
      if (spec.kind === 'truth') return [[spec.on, { kind: 'flag', describe: spec.describe }], ...(spec.off === undefined ? [] : [[spec.off, { kind: 'flag', describe: spec.describeOff ?? '' }] as [string, OptionSpec]])];
      const kind = spec.kind === 'members' ? 'repeated' : 'text';
      const choices = 'choices' in spec && spec.choices !== undefined ? { choices: spec.choices } : {};
      return [[spec.option, { kind, describe: spec.describe, ...choices, ...(spec.kind === 'node' ? { names: 'nodes' } : {}), ...(isCreation && spec.required ? { required: true } : {}) }]];
    }),
  );
}

/** Options of `unset`. */
export function unsetOptions(fields: readonly FieldSpec[]): Record<string, OptionSpec> {
  return Object.fromEntries(
    fields.filter(isUnsettable).map((spec): [string, OptionSpec] =>
      spec.kind === 'members' ? [spec.option, { kind: 'repeated', describe: `KEY of ${spec.field} to remove` }] : [optionsOfField(spec)[0] ?? '', { kind: 'flag', describe: `Unset ${spec.field}` }],
    ),
  );
}

const isUnsettable = (spec: FieldSpec): boolean => spec.unsettable === true || spec.kind === 'members';

/** What was given for a field that is no collection of members; undefined when nothing was. */
function valueOf(spec: FieldSpec, args: Arguments): string | number | boolean | undefined {
  if (spec.kind === 'truth') {
    const off = spec.off !== undefined && args.flag(spec.off) === true;
    if (off && args.flag(spec.on)) throw new UsageError(`--${spec.on} and --${spec.off} exclude each other`);
    return off ? false : args.flag(spec.on);
  }
  return spec.kind === 'integer' ? args.integer(spec.option) : args.text(spec.option);
}

/** Body of `POST`: only what was given. A node's UUID is filled in by the caller. */
export function recordOf(fields: readonly FieldSpec[], args: Arguments): JsonObject {
  const record: JsonObject = {};
  for (const spec of fields) {
    if (spec.kind === 'members') {
      const pairs = args.texts(spec.option);
      if (pairs.length > 0) record[spec.field] = parseKeyValues(pairs, spec.option);
    } else {
      const value = valueOf(spec, args);
      if (value !== undefined) record[spec.field] = value;
    }
  }
  return record;
}

/** JSON Patch of `set`. @throws UsageError when nothing is to be set. */
export function patchToSetRecord(fields: readonly FieldSpec[], args: Arguments): PatchOperation[] {
  const patch = fields.flatMap((spec): PatchOperation[] => {
    if (spec.kind === 'members') {
      return args.texts(spec.option).map((pair) => {
        const [key, value] = parseKeyValue(pair, spec.option);
        return { op: 'add', path: `/${spec.field}/${key}`, value };
      });
    }
    const value = valueOf(spec, args);
    return value === undefined ? [] : [{ op: 'add', path: `/${spec.field}`, value }];
  });
  if (patch.length === 0) throw new UsageError(`say what to set: ${fields.flatMap(optionsOfField).map((option) => `--${option}`).join(', ')}`);
  return patch;
}

/** JSON Patch of `unset`. @throws UsageError when nothing is to be unset. */
export function patchToUnsetRecord(fields: readonly FieldSpec[], args: Arguments): PatchOperation[] {
  const unsettable = fields.filter(isUnsettable);
  const patch = unsettable.flatMap((spec): PatchOperation[] => {
    if (spec.kind === 'members') return args.texts(spec.option).map((key) => ({ op: 'remove', path: `/${spec.field}/${key}` }));
    if (!args.flag(optionsOfField(spec)[0] ?? '')) return [];
    return [spec.kind === 'truth' && spec.unsetTo !== undefined ? { op: 'add', path: `/${spec.field}`, value: spec.unsetTo } : { op: 'remove', path: `/${spec.field}` }];
  });
  if (patch.length === 0) throw new UsageError(`say what to unset: ${unsettable.map((spec) => `--${optionsOfField(spec)[0]}`).join(', ')}`);
  return patch;
}
