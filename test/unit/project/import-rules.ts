import type { Import } from './imports.ts';

/** What a place may import besides itself: by value, or types only. A place is a room, or a part of the conductor; a path ending in `.ts` is that file alone. */
interface Rule {
  values: readonly string[];
  types?: readonly string[];
  /** Packages, where not all are allowed. */
  packages?: readonly string[];
}

const SIMPLE_ROOM: Rule = { values: ['protocol'] };
/** Parts of the conductor below the arrow `main -> app -> api -> workflow -> {state-machine, drivers, db}`. */
const FOUNDATION: readonly string[] = ['protocol', 'state-machine', 'conductor/drivers', 'conductor/db'];

const RULES: Readonly<Record<string, Rule>> = {
  'state-machine': { values: [], packages: ['xstate'] },
  protocol: { values: [], types: ['state-machine'] },
  webdav: SIMPLE_ROOM,
  'image-service': SIMPLE_ROOM,
  cli: SIMPLE_ROOM,
  'ramdisk-agent': SIMPLE_ROOM,
  simulator: SIMPLE_ROOM,
  demo: { values: ['protocol', 'simulator'] },
  'conductor/main': { values: ['protocol', 'conductor/app', 'conductor/parts'] },
  'conductor/app': { values: [...FOUNDATION, 'conductor/api', 'conductor/workflow', 'conductor/images', 'conductor/netboot', 'conductor/parts', 'webdav', 'image-service'] },
  'conductor/api': { values: [...FOUNDATION, 'conductor/workflow'], types: ['conductor/config.ts'] },
  'conductor/workflow': { values: FOUNDATION, types: ['conductor/config.ts'] },
  'conductor/drivers': { values: ['protocol'], types: ['conductor/db/rows.ts'] },
  'conductor/images': { values: ['protocol', 'image-service', 'webdav/basic-credentials.ts'], types: ['conductor/drivers/deployment.ts', 'conductor/drivers/interfaces.ts'] },
  'conductor/netboot': { values: ['protocol', 'conductor/drivers/credential.ts', 'conductor/drivers/capabilities.ts'], types: ['conductor/drivers/boot-files.ts', 'conductor/db/rows.ts', 'conductor/config-boot.ts'] },
  'conductor/db': { values: ['protocol'], types: ['state-machine'] },
  // agent-client, config, listener and the like: files at the conductor's top that app wires together.
  'conductor/parts': { values: ['protocol'], types: ['conductor/drivers/interfaces.ts', 'conductor/db/rows.ts'] },
};

/** Why this import is against DESIGN's rules, or undefined when it is not. */
export function judgeImport({ importer, target, typeOnly }: Import): string | undefined {
  const place = placeOf(importer);
  const rule = RULES[place];
  if (!rule) return `${place} has no import rule: add the room to test/unit/project/import-rules.ts`;
  if ('package' in target) {
    const mayUseNode = isProgram(importer) && target.package.startsWith('node:');
    return !rule.packages || rule.packages.includes(target.package) || mayUseNode ? undefined : `${place} uses no package but ${rule.packages.join(', ')}, not ${target.package}`;
  }
  const targetPlace = placeOf(target.file);
  const allows = (entries: readonly string[] = []): boolean => entries.some((entry) => (entry.endsWith('.ts') ? entry === target.file : entry === targetPlace));
  if (targetPlace === place || allows(rule.values)) return undefined;
  if (!allows(rule.types)) return `${place} must not import ${target.file}`;
  return typeOnly ? undefined : `${place} may import types of ${target.file} only: use "import type", or move the value`;
}

/** The files that read arguments and environment: a program's first file, which hands on what it found. */
export const isProgram = (path: string): boolean => /^[a-z-]+\/([a-z-]+-)?main\.ts$/.test(path) || path === 'ramdisk-agent/image/main.ts';

function placeOf(path: string): string {
  const [room = '', part = ''] = path.split('/');
  if (room !== 'conductor') return room;
  if (isProgram(path)) return 'conductor/main';
  if (/^app(-[a-z-]+)?\.ts$/.test(part)) return 'conductor/app';
  return part.endsWith('.ts') ? 'conductor/parts' : `conductor/${part}`;
}
