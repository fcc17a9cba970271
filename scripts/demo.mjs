#!/usr/bin/env node
/**
 * `demo.mjs [arguments of the demo…]`: provides what the demo needs, and starts it. A virtual server (`--vm`) needs the ramdisk
 * that it boots, which is built first, and a network of its own.
 */
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownNetwork } from './own-network.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const RAMDISK_DIRECTORY = join(ROOT, 'node_modules/.cache/metalshot-ramdisk');
const EXIT_MISSING = 3;

/** Runs a program of the project with this terminal, its standard output being our standard error. Ends with it when it fails. */
function prepare(...args) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: ['inherit', 2, 2] });
  if (signal) process.kill(process.pid, signal);
  if (status !== 0) process.exit(status ?? 1);
}

/** Gives place to a program: it gets our signals (Ctrl-C reaches it by itself), and we end as it ends. */
function become([program, ...args]) {
  const child = spawn(program, args, { stdio: 'inherit' });
  process.on('SIGINT', () => undefined);
  for (const name of ['SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('error', (error) => {
    console.error(`demo: ${program} cannot be run: ${error.message}`);
    process.exitCode = EXIT_MISSING;
  });
  child.on('exit', (exitCode, signal) => (process.exitCode = exitCode ?? (signal ? 1 : 0)));
}

const args = process.argv.slice(2);
const helpOnly = args.includes('--help');
const vm = args.some((argument) => argument === '--vm' || argument === '--vm=true') && !helpOnly;
prepare('scripts/setup.mjs', vm ? '--for=vm' : '--for=demo');
const demo = [process.execPath, join(ROOT, 'dist/demo/main.js'), ...args];
if (!vm) become(demo);
else {
  const network = ownNetwork();
  if (network.command.length === 0) {
    console.error('demo: no network of its own can be made for a virtual server (unshare --net): run it as root, in a container with --cap-add SYS_ADMIN --cap-add NET_ADMIN.');
    process.exit(EXIT_MISSING);
  }
  prepare('dist/ramdisk-agent/image/main.js', '--variant', 'cloud', '--output', RAMDISK_DIRECTORY);
  become([...network.command, ...demo, '--ramdisk', RAMDISK_DIRECTORY]);
}
