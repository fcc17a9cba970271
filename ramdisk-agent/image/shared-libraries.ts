import { posix } from 'node:path';
import { OperationFailedError } from '../../protocol/errors.ts';
import { isElf, readElfLinks } from './elf-file.ts';
import type { ImageTree } from './image-tree.ts';
import { canonical, LIBRARY_DIRECTORIES, type UnpackedRoot } from './unpacked-root.ts';

/**
 * Adds the shared libraries, and the loaders, that programs and libraries in the tree name in their ELF headers, and the
 * libraries of these. `loaded`: libraries that no header names. @throws OperationFailedError naming those in no package.
 */
export function addSharedLibraries(tree: ImageTree, root: UnpackedRoot, loaded: readonly string[]): void {
  const missing: string[] = [];
  const seen = new Set<string>();
  const add = (path: string): void => {
    tree.addUnpacked(root, path);
    visit(root.chainOf(path).at(-1)!);
  };
  const addLibrary = (name: string, user: string, runPaths: readonly string[]): void => {
    const directories = [...runPaths.filter((path) => path.startsWith('/')).map((path) => canonical(path.slice(1))), ...LIBRARY_DIRECTORIES];
    const path = directories.map((directory) => posix.join(directory, name)).find((candidate) => root.has(candidate));
    if (path === undefined) missing.push(`${name} (for ${user})`);
    else add(path);
  };
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const bytes = tree.read(path);
    if (!bytes || !isElf(bytes) || path.endsWith('.ko')) return;
    const { needed, runPaths, interpreter } = readElfLinks(bytes);
    if (interpreter !== null) add(interpreter.slice(1));
    for (const name of needed) addLibrary(name, path, runPaths);
  };
  for (const path of tree.paths()) visit(path);
  for (const name of loaded) addLibrary(name, 'programs that load it while they run', []);
  if (missing.length > 0) throw new OperationFailedError(`shared libraries that programs of the ramdisk need are in none of its packages: ${[...new Set(missing)].join(', ')}. Where it is Node.js that needs them: use a Node.js of nodejs.org, which needs the C and C++ libraries only`);
}
