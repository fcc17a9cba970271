/** Chooses kernel modules by what depmod(8) has written about all modules of a kernel. */
import { posix } from 'node:path';

export interface ModuleIndex {
  /** Paths below /lib/modules/RELEASE (`kernel/fs/ext4/ext4.ko`) with the paths that each depends on. */
  dependencies: ReadonlyMap<string, readonly string[]>;
  /** Paths of what is no module but part of the kernel. */
  builtin: ReadonlySet<string>;
  /** Names of modules by their exact aliases (without wildcards). */
  aliases: ReadonlyMap<string, readonly string[]>;
  /** Names, or aliases, of what is to be loaded with a module though nothing links to it. */
  softDependencies: ReadonlyMap<string, readonly string[]>;
}

export interface ModuleChoice {
  /** Sorted. */
  paths: string[];
  /** Names and paths that fit nothing. */
  absent: string[];
}

/** @param read contents of modules.dep, modules.builtin, modules.alias, modules.softdep. */
export function parseModuleIndex(read: (name: string) => string): ModuleIndex {
  const lines = (name: string): string[] => read(name).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const aliases = new Map<string, string[]>();
  for (const [, alias = '', name = ''] of lines('modules.alias').map((line) => line.split(' '))) if (!/[*?[]/.test(alias)) aliases.set(alias, [...(aliases.get(alias) ?? []), moduleName(name)]);
  return {
    dependencies: new Map(lines('modules.dep').map((line) => line.split(':')).map(([path = '', needs = '']) => [path, needs.split(' ').filter((need) => need !== '')])),
    builtin: new Set(lines('modules.builtin')),
    aliases,
    softDependencies: new Map(lines('modules.softdep').map((line) => line.split(' ')).map(([, name = '', ...needs]) => [moduleName(name), needs.filter((need) => need !== '' && !need.endsWith(':'))])),
  };
}

/** The modules whose path (below `kernel/`) begins with one of `paths` or whose name is one of `names`, with all that they need. */
export function chooseModules(index: ModuleIndex, { paths, names }: { paths: readonly string[]; names: readonly string[] }): ModuleChoice {
  const byName = new Map([...index.dependencies.keys()].map((path) => [moduleName(path), path]));
  const known = [...index.dependencies.keys(), ...index.builtin];
  const builtinNames = new Set([...index.builtin].map(moduleName));
  const chosen = new Set<string>();
  const visit = (path: string): void => {
    if (chosen.has(path)) return;
    chosen.add(path);
    for (const need of index.dependencies.get(path) ?? []) visit(need);
    for (const soft of index.softDependencies.get(moduleName(path)) ?? []) {
      for (const name of [moduleName(soft), ...(index.aliases.get(soft) ?? [])]) if (byName.has(name)) visit(byName.get(name)!);
    }
  };
  for (const path of index.dependencies.keys()) if (paths.some((wanted) => path.startsWith(`kernel/${wanted}`))) visit(path);
  for (const name of names) if (byName.has(moduleName(name))) visit(byName.get(moduleName(name))!);
  return {
    paths: [...chosen].sort(),
    absent: [
      ...paths.filter((wanted) => !known.some((path) => path.startsWith(`kernel/${wanted}`))),
      ...names.filter((name) => !byName.has(moduleName(name)) && !builtinNames.has(moduleName(name))),
    ],
  };
}

/** The kernel takes `-` and `_` in names for the same. */
export const moduleName = (path: string): string => posix.basename(path).replace(/\.ko$/, '').replaceAll('-', '_');
