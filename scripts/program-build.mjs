import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure, runQuietly, say } from './quiet-command.mjs';

const TSC_TIMEOUT_MS = 10 * 60_000;

/** Whether dist/ was made from exactly the present sources, and is whole. */
export function hasFreshBuild(root) {
  const sources = listSources(root);
  const stamp = join(root, 'dist/.metalshot-build');
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digestOf(root, sources) && missingOutputs(root, sources).length === 0;
}

/**
 * Compiles the sources to dist/ and removes what has no source any more. dist/ counts as fresh only after all of it is done.
 * @throws CommandFailure with the compiler's messages.
 */
export async function buildPrograms(root) {
  say('compiling to dist/');
  const stamp = join(root, 'dist/.metalshot-build');
  rmSync(stamp, { force: true });
  const sources = listSources(root);
  const digest = digestOf(root, sources); // before the compiler reads them: a file changed meanwhile means one more build
  if (missingOutputs(root, sources).length > 0) rmSync(join(root, 'dist/.tsbuildinfo'), { force: true }); // or tsc takes them for written
  removeOrphans(root, sources);
  await runQuietly(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { what: 'compiling', timeoutMs: TSC_TIMEOUT_MS, cwd: root });
  const missing = missingOutputs(root, sources);
  if (missing.length > 0) throw new CommandFailure(`the compiler has ended well but not written ${missing.join(', ')}`, '');
  for (const program of Object.values(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).bin ?? {})) {
    if (existsSync(join(root, program))) chmodSync(join(root, program), 0o755);
  }
  writeFileSync(`${stamp}.new`, digest);
  renameSync(`${stamp}.new`, stamp);
}

/** Paths of the TypeScript files that tsconfig.build.json includes, relative to the root. */
function listSources(root) {
  const rooms = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8')).include;
  return rooms.flatMap((room) => listFiles(root, room)).filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts')).sort();
}

function listFiles(root, directory) {
  if (!existsSync(join(root, directory))) return [];
  return readdirSync(join(root, directory), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

function digestOf(root, sources) {
  const hash = createHash('sha256');
  for (const path of [...sources, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']) hash.update(`${path}\0`).update(readFileSync(join(root, path))).update('\0');
  return hash.digest('hex');
}

const outputOf = (source) => join('dist', source.replace(/\.ts$/, '.js'));

const missingOutputs = (root, sources) => sources.map(outputOf).filter((path) => !existsSync(join(root, path)));

function removeOrphans(root, sources) {
  const wanted = new Set(sources.map(outputOf));
  for (const path of listFiles(root, 'dist')) {
    if (/\.js(\.map)?$/.test(path) && !wanted.has(path.replace(/\.map$/, ''))) rmSync(join(root, path), { force: true });
  }
  removeEmptyDirectories(join(root, 'dist'));
}

function removeEmptyDirectories(directory) {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) if (entry.isDirectory()) removeEmptyDirectories(join(directory, entry.name));
  if (readdirSync(directory).length === 0) rmdirSync(directory);
}
