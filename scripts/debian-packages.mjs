import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { withLock } from './exclusive-lock.mjs';
import { CommandFailure, runQuietly, say } from './quiet-command.mjs';

/** Debian packages by what they are for. Add what a new test or feature needs to its line; nothing else has to change. */
const PACKAGES = {
  /** npm compiles sqlite3 with these where no ready-made binary can be fetched. */
  build: ['python3', 'make', 'g++'],
  /** What the conductor runs: decompression, image formats, BMCs, DHCP and TFTP, ISOs. */
  start: ['zstd', 'qemu-utils', 'util-linux', 'ipmitool', 'dnsmasq-base', 'iproute2', 'grub-common', 'grub-pc-bin', 'grub-efi-amd64-bin', 'xorriso', 'mtools'],
  /** The ramdisk's own packages are fetched and unpacked, not installed: see ramdisk-agent/image/package-list.ts. */
  ramdisk: ['apt', 'dpkg', 'ca-certificates'],
  demo: ['qemu-utils', 'davfs2', 'fdisk', 'e2fsprogs', 'util-linux', 'mount', 'procps', 'zstd', 'partclone', 'xfsprogs'],
  /** Virtual machines that boot over the network, their BMCs and firmware, and the disks that they boot from. */
  vm: ['qemu-system-x86', 'ovmf', 'dnsmasq-base', 'iproute2', 'openipmi', 'ipmitool', 'ipxe', 'grub-pc-bin', 'grub-efi-amd64-bin', 'grub-common', 'xorriso', 'mtools', 'dosfstools', 'gdisk', 'busybox-static', 'cpio', 'zstd', 'gzip'],
  /** The real peers that tests talk to. */
  test: [
    ...['glance-api', 'glance-common', 'keystone', 'python3-ironicclient', 'python3-openstackclient', 'python3-glanceclient', 'python3-openstacksdk', 'python3-oslotest', 'python3-stestr', 'litmus', 'curl', 'strace'],
    // an object store
    ...['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached'],
    // disks of all kinds, what agents change on them, and a machine that boots from them
    ...['xfsprogs', 'partclone', 'dosfstools', 'mtools', 'gdisk', 'openssh-client', 'efibootmgr', 'grub-pc-bin', 'grub-common', 'qemu-system-x86'],
    // what a ramdisk is read back with
    'cpio', 'zstd', 'busybox-static',
  ],
  /** What benchmarks compare with. */
  bench: ['ironic-api', 'ironic-conductor', 'ironic-common', 'glance-api', 'glance-common'],
};
const servicesOf = (server, parts) => ['', ...parts.map((part) => `-${part}`)].map((part) => `${server}${part}.service`);
/** Services that these packages would start at the next boot of the machine: tests start their own instances, on their own ports. */
const SERVICES = {
  'glance-api': 'glance-api.service',
  keystone: 'keystone.service',
  'ironic-api': 'ironic-api.service',
  'ironic-conductor': 'ironic-conductor.service',
  openipmi: 'openipmi.service',
  memcached: 'memcached.service',
  'swift-proxy': 'swift-proxy.service',
  'swift-account': servicesOf('swift-account', ['auditor', 'reaper', 'replicator']),
  'swift-container': servicesOf('swift-container', ['auditor', 'reconciler', 'replicator', 'sharder', 'sync', 'updater']),
  'swift-object': servicesOf('swift-object', ['auditor', 'reconstructor', 'replicator', 'updater']),
};

const APT_TIMEOUT_MS = 30 * 60_000;
const LISTS_PATIENCE_MS = 5 * 60_000;
const LISTS_RETRY_MS = 5_000;
/** One for the machine, not for the clone: the services' policy file below belongs to the machine. */
const LOCK_FILE = '/run/metalshot-setup.lock';
const POLICY_FILE = '/usr/sbin/policy-rc.d';
const POLICY = '#!/bin/sh\n# Temporary, of the metalshot set-up: packages that it installs start no services.\nexit 101\n';

export function packagesFor(purpose, { compiling }) {
  const purposes = { start: ['start'], ramdisk: ['start', 'ramdisk'], demo: ['demo'], vm: ['start', 'demo', 'ramdisk', 'vm'], test: ['start', 'demo', 'ramdisk', 'vm', 'test'], bench: ['start', 'demo', 'bench'] }[purpose];
  return [...new Set([...(compiling ? ['build'] : []), ...purposes].flatMap((name) => PACKAGES[name]))];
}

/** Those that dpkg does not know as installed; all of them on a system without dpkg. */
export function missingPackages(names) {
  if (names.length === 0) return [];
  const { stdout } = spawnSync('dpkg-query', ['--show', '--showformat=${db:Status-Status} ${Package}\n', ...names], { encoding: 'utf8' });
  const installed = new Set((stdout ?? '').split('\n').filter((line) => line.startsWith('installed ')).map((line) => line.slice('installed '.length)));
  return names.filter((name) => !installed.has(name));
}

/** Installs the packages, or says in a sentence what has to be installed by whom. */
export async function installPackages(names) {
  if (!isOnPath('apt-get')) {
    say(`this system has no apt-get, so nothing can be installed here: provide what these Debian 12 packages hold: ${names.join(' ')}`);
    return;
  }
  if (process.getuid() !== 0) {
    say(`not root, so these Debian packages cannot be installed: run "apt-get update && apt-get install -y --no-install-recommends ${names.join(' ')}" as root. Going on without them.`);
    return;
  }
  await withLock(LOCK_FILE, async () => {
    const wanted = missingPackages(names); // another set-up may have installed them while this one waited
    if (wanted.length > 0) await withoutServices(() => aptInstall(wanted));
  });
}

async function aptInstall(names) {
  say(`installing Debian packages: ${names.join(' ')}`);
  const updateProblem = await updateLists();
  try {
    await runApt(['install', '--yes', '--no-install-recommends', ...names], 'installing Debian packages');
  } catch (error) {
    throw error instanceof CommandFailure && updateProblem ? new CommandFailure(`${updateProblem}\n${error.message}`, '') : error;
  }
  const services = names.flatMap((name) => SERVICES[name] ?? []);
  if (services.length > 0 && isOnPath('systemctl')) {
    await runQuietly('systemctl', ['disable', ...services], { what: `keeping ${services.join(', ')} from starting at boot`, timeoutMs: 60_000 });
  }
}

/** Returns what went wrong, if anything did: the lists that are there may do, and if not, the installation fails and shows it. */
async function updateLists() {
  const giveUpAt = performance.now() + LISTS_PATIENCE_MS;
  for (;;) {
    try {
      await runApt(['-o', 'APT::Update::Error-Mode=any', 'update'], 'reading the package lists');
      return '';
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      const locked = /could not get lock|unable to lock/i.test(error.output); // DPkg::Lock::Timeout does not cover the lists
      if (!locked || performance.now() > giveUpAt) return error.message;
      await setTimeout(LISTS_RETRY_MS);
    }
  }
}

const runApt = (args, what) =>
  runQuietly('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3', '-q', ...args], { what, timeoutMs: APT_TIMEOUT_MS, env: { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' } });

/** Does `work` while Debian's packages are told to start no service; the machine's own policy, if it has one, is left alone. */
async function withoutServices(work) {
  const ours = !existsSync(POLICY_FILE) || readFileSync(POLICY_FILE, 'utf8') === POLICY; // left by a set-up that was killed
  if (!ours) return work();
  const remove = () => rmSync(POLICY_FILE, { force: true });
  process.once('exit', remove);
  try {
    writeFileSync(POLICY_FILE, POLICY, { mode: 0o755 });
    return await work();
  } finally {
    remove();
    process.off('exit', remove);
  }
}

const isOnPath = (program) => (process.env.PATH ?? '').split(':').some((directory) => existsSync(`${directory || '.'}/${program}`));
