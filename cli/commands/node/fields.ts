import type { OptionSpec } from '../../command.ts';

/** Interface kinds of a node in Ironic's order; `snapshot` is ours. */
export const INTERFACE_KINDS = ['bios', 'boot', 'console', 'deploy', 'inspect', 'management', 'network', 'power', 'raid', 'rescue', 'snapshot', 'storage', 'vendor'] as const;

export const optionOf = (field: string): string => field.replaceAll('_', '-');

/** `--boot-interface` and its like. */
export const interfaceOptions = (describe: (kind: string) => string, kind: OptionSpec['kind'] = 'text', prefix = ''): Record<string, OptionSpec> =>
  Object.fromEntries(INTERFACE_KINDS.map((name) => [`${prefix}${name}-interface`, { kind, describe: describe(name) }]));
