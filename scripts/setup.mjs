#!/usr/bin/env node
/**
 * `setup.mjs [--for=start|ramdisk|demo|vm|test|bench]`: provides what the purpose needs: Debian packages (as root), node packages, dist/.
 * Runs before `npm ci`, so it uses nothing but Node itself. Silent when there is nothing to do.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPackages, missingPackages, packagesFor } from './debian-packages.mjs';
import { withLock } from './exclusive-lock.mjs';
import { hasFreshNodePackages, installNodePackages } from './node-packages.mjs';
import { buildPrograms, hasFreshBuild } from './program-build.mjs';
import { CommandFailure, forwardSignals, say } from './quiet-command.mjs';

const OLDEST_NODE = [20, 19];
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

async function setUp(purpose) {
  const missing = () => missingPackages(packagesFor(purpose, { compiling: !hasFreshNodePackages(ROOT) }));
  if (missing().length > 0 || !hasFreshNodePackages(ROOT) || !hasFreshBuild(ROOT)) {
    mkdirSync(join(ROOT, '.setup'), { recursive: true });
    await withLock(join(ROOT, '.setup/lock'), async () => {
      if (missing().length > 0) await installPackages(missing());
      if (!hasFreshNodePackages(ROOT)) await installNodePackages(ROOT);
      if (!hasFreshBuild(ROOT)) await build(purpose);
    });
  }
  if (purpose !== 'start' && purpose !== 'ramdisk' && !existsSync('/dev/fuse')) {
    say('/dev/fuse is not there, so davfs2 cannot mount the share: load the module ("modprobe fuse"), or start the container with --device /dev/fuse --cap-add SYS_ADMIN.');
  }
}

async function build(purpose) {
  try {
    await buildPrograms(ROOT);
  } catch (error) {
    if (purpose !== 'test' || !(error instanceof CommandFailure)) throw error;
    say(`${error.message}\nThe tests run all the same; their type check counts this as a failure.`);
  }
}

function readPurpose(args) {
  const [argument = '--for=test', ...rest] = args;
  const purpose = /^--for=(start|ramdisk|demo|vm|test|bench)$/.exec(argument)?.[1];
  if (purpose === undefined || rest.length > 0) {
    say('usage: node scripts/setup.mjs [--for=start|ramdisk|demo|vm|test|bench] (default: test, which includes all but bench)');
    process.exit(2);
  }
  return purpose;
}

function refuseOldNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  say(`Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}: install a newer Node (https://nodejs.org/en/download) and run the command again.`);
  process.exit(1);
}

refuseOldNode();
const purpose = readPurpose(process.argv.slice(2));
forwardSignals();
try {
  await setUp(purpose);
} catch (error) {
  say(error instanceof CommandFailure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
