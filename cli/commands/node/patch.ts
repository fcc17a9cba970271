import type { Json } from '../../../protocol/json.ts';
import type { Arguments } from '../../arguments.ts';
import { UsageError } from '../../exit-code.ts';
import { parseJsonArgument, parseKeyValue } from '../../key-value.ts';
import { INTERFACE_KINDS, optionOf } from './fields.ts';

export type PatchOperation = { op: 'add'; path: string; value: Json } | { op: 'remove'; path: string };

/** Plain fields in the order in which the stock client writes them. */
export const PLAIN_FIELDS = ['instance_uuid', 'name', 'chassis_uuid', 'driver', 'resource_class', 'conductor_group', 'protected', 'protected_reason', 'retired', 'retired_reason', 'owner', 'lessee', 'description'] as const;
/** Fields whose members are set and unset one by one, and their options. */
export const MEMBER_FIELDS = { properties: 'property', extra: 'extra', driver_info: 'driver-info', instance_info: 'instance-info' } as const;
const UNSETTABLE_FIELDS = [...PLAIN_FIELDS.filter((field) => field !== 'driver'), 'automated_clean', 'network_data', ...INTERFACE_KINDS.map((kind) => `${kind}_interface`)];

/**
 * JSON Patch of `node set`. A slash in a key of `KEY=VALUE` reaches into nested objects, as with the stock client.
 * @throws UsageError when nothing is to be set.
 */
export function patchToSet(args: Arguments): PatchOperation[] {
  const patch: PatchOperation[] = [];
  for (const field of PLAIN_FIELDS) {
    const value = args.text(optionOf(field)) ?? args.flag(optionOf(field));
    if (value !== undefined) patch.push({ op: 'add', path: `/${field}`, value });
  }
  const automatedClean = args.flag('automated-clean');
  if (automatedClean !== undefined) patch.push({ op: 'add', path: '/automated_clean', value: automatedClean });
  for (const kind of INTERFACE_KINDS) {
    const value = args.text(`${kind}-interface`);
    const reset = args.flag(`reset-${kind}-interface`);
    if (value !== undefined && reset) throw new UsageError(`--${kind}-interface and --reset-${kind}-interface exclude each other`);
    if (value !== undefined) patch.push({ op: 'add', path: `/${kind}_interface`, value });
    else if (reset) patch.push({ op: 'remove', path: `/${kind}_interface` });
  }
  for (const [field, option] of Object.entries(MEMBER_FIELDS)) {
    for (const pair of args.texts(option)) {
      const [key, value] = parseKeyValue(pair, option);
      patch.push({ op: 'add', path: `/${field}/${key}`, value });
    }
  }
  const networkData = args.text('network-data');
  if (networkData !== undefined) patch.push({ op: 'add', path: '/network_data', value: parseJsonArgument(networkData, 'network-data') });
  if (patch.length === 0) throw new UsageError('say what to set, for example --name NAME or --property KEY=VALUE');
  return patch;
}

/** JSON Patch of `node unset`. @throws UsageError when nothing is to be unset. */
export function patchToUnset(args: Arguments): PatchOperation[] {
  const plain = UNSETTABLE_FIELDS.filter((field) => args.flag(optionOf(field)));
  const members = Object.entries(MEMBER_FIELDS).flatMap(([field, option]) => args.texts(option).map((key) => `${field}/${key}`));
  const patch = [...plain, ...members].map((path): PatchOperation => ({ op: 'remove', path: `/${path}` }));
  if (patch.length === 0) throw new UsageError('say what to unset, for example --name or --property KEY');
  return patch;
}
