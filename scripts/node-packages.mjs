import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runQuietly, say } from './quiet-command.mjs';

const NPM_TIMEOUT_MS = 30 * 60_000;

/** Whether node_modules holds what the lock file says, built for this Node; looks at our stamp only. */
export const hasFreshNodePackages = (root) => readIfThere(stampFile(root)) === stampOf(root);

/** Runs `npm ci`, unless somebody's own `npm ci` or `npm install` has done the same already. @throws CommandFailure */
export async function installNodePackages(root) {
  if (!matchesLockFile(root) || !canLoadSqlite(root)) {
    say('installing node packages (sqlite3 is compiled where no ready-made binary can be fetched: up to 5 minutes)');
    const npm = process.env.npm_execpath?.endsWith('npm-cli.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
    // --include=dev: the compiler is a development package, and NODE_ENV=production would leave it out.
    const args = [...npm.slice(1), 'ci', '--include=dev', '--no-audit', '--no-fund'];
    await runQuietly(npm[0], args, { what: 'npm ci', timeoutMs: NPM_TIMEOUT_MS, cwd: root });
    if (!canLoadSqlite(root)) throw new Error(`npm ci has ended well, yet sqlite3 cannot be loaded: ${sqliteProblem(root)}\nIf npm is told to run no install scripts (npm config get ignore-scripts), run "npm rebuild sqlite3 --ignore-scripts=false".`);
  }
  writeFileSync(stampFile(root), stampOf(root));
}

const stampFile = (root) => join(root, 'node_modules/.metalshot-setup');

/** A native package is built for one lock file, one Node ABI and one processor. */
function stampOf(root) {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
  return `${lock} ${process.versions.modules} ${process.platform}-${process.arch}\n`;
}

/** Compares with npm's own record of what it has installed; packages for other platforms may be absent. */
function matchesLockFile(root) {
  const installed = JSON.parse(readIfThere(join(root, 'node_modules/.package-lock.json')) ?? '{}').packages ?? {};
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const same = ([path, entry]) => {
    const found = installed[path];
    if (!found) return Boolean(entry.optional || entry.devOptional || entry.peer);
    return found.version === entry.version && found.integrity === entry.integrity && existsSync(join(root, path, 'package.json'));
  };
  return Object.entries(locked).filter(([path]) => path !== '').every(same) && Object.keys(installed).every((path) => path in locked);
}

const canLoadSqlite = (root) => sqliteProblem(root) === '';

function sqliteProblem(root) {
  const { status, stderr } = spawnSync(process.execPath, ['-e', "require('sqlite3')"], { cwd: root, encoding: 'utf8' });
  return status === 0 ? '' : stderr.trim();
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
