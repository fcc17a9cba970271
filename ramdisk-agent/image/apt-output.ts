/** Reads what apt-cache(8) and apt-get(8) print. */

export interface DebianPackage {
  name: string;
  version: string;
  sizeBytes: number;
  sha256: string;
}

/** Of `apt-cache policy`: the version that would be installed, by name; names without one are left out. */
export function parsePolicy(text: string): Map<string, string> {
  const blocks = text.split(/^(?=\S)/m);
  const found = blocks.map((block) => [/^(\S+):$/m.exec(block)?.[1], /^ {2}Candidate: (\S+)$/m.exec(block)?.[1]] as const);
  return new Map(found.filter((pair): pair is readonly [string, string] => pair[0] !== undefined && pair[1] !== undefined && pair[1] !== '(none)'));
}

/** Of `apt-cache depends --recurse`: names that each package depends on; alternatives are all named, virtual packages are not. */
export function parseDependencies(text: string): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  for (const block of text.split(/^(?=\S)/m)) {
    const [name = '', ...lines] = block.trimEnd().split('\n');
    graph.set(name, lines.flatMap((line) => /^ [ |](?:Pre)?Depends: ([^<\s]+)$/.exec(line)?.[1] ?? []));
  }
  return graph;
}

/** The packages, the newest kernel where one of them depends on it, and all libraries that these need; sorted. */
export function findLibraryPackages(roots: readonly string[], graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const next of graph.get(name) ?? []) if (isLibrary(next) || isKernel(next)) visit(next);
  };
  for (const name of roots) visit(name);
  return [...found].sort();
}

const isLibrary = (name: string): boolean => /^lib|^zlib/.test(name) && !name.includes(':');
const isKernel = (name: string): boolean => /^linux-image-\d/.test(name);

/** Of `apt-get download --print-uris`: lines `'URL' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST`. */
export function parseUris(text: string): DebianPackage[] {
  const lines = [...text.matchAll(/^'[^']*' (\S+)_(\S+)_[a-z0-9]+\.deb (\d+) SHA256:([0-9a-f]{64})\s*$/gm)];
  return lines
    .map(([, name, version, size, sha256]) => ({ name: name!, version: decodeURIComponent(version!), sizeBytes: Number(size), sha256: sha256! }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
