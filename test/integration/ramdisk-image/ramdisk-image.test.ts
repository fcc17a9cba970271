import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { manifestSchema, type Manifest } from '../../../ramdisk-agent/image/manifest.ts';
import { PROGRAMS } from '../../../ramdisk-agent/image/package-list.ts';
import { describeWhere } from '../../machine-needs.ts';
import { DIST } from '../../rig/dist.ts';

const BUILD_TIMEOUT_MS = 25 * 60_000;
const LARGEST_CLOUD_BYTES = 60_000_000;
const ROOT = join(DIST, '..');

let work: string;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'metalshot-ramdisk-image-'));
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

function build(project: string, output: string, cache: string, ...more: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(project, 'dist/ramdisk-agent/image/main.js'), '--variant', 'cloud', '--output', output, '--cache', cache, ...more], { encoding: 'utf8', timeout: BUILD_TIMEOUT_MS });
}

const readManifest = (directory: string): Manifest => manifestSchema.parse(JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')));
const sha256 = (path: string): string => spawnSync('sha256sum', [path], { encoding: 'utf8' }).stdout.slice(0, 64);

/** A copy of the project elsewhere, as another clone would be. */
function copyProject(): string {
  const copy = join(work, 'elsewhere/project');
  for (const name of ['dist/protocol', 'dist/ramdisk-agent', 'dist/state-machine', 'protocol', 'ramdisk-agent', 'state-machine', 'package.json', 'tsconfig.json']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Unpacks both layers as the kernel does: one after the other into the same tree. */
function unpack(initramfs: string, directory: string): void {
  mkdirSync(directory);
  const bytes = readFileSync(initramfs);
  const agentLayer = bytes.lastIndexOf(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0])); // gzip without a time, behind the zstd frame
  const base = spawnSync('zstd', ['--decompress', '--stdout', '--quiet'], { input: bytes.subarray(0, agentLayer), maxBuffer: 2 ** 30 });
  for (const archive of [base.stdout, gunzipSync(bytes.subarray(agentLayer))]) {
    const { status, stderr } = spawnSync('cpio', ['--extract', '--make-directories', '--unconditional', '--quiet', '--no-preserve-owner'], { cwd: directory, input: archive, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  }
}

describeWhere(['root'], 'the ramdisk for virtual machines', () => {
  let first: string;
  let tree: string;
  let manifest: Manifest;
  beforeAll(() => {
    first = join(work, 'first');
    const { status, stderr, stdout } = build(ROOT, first, join(work, 'cache-1'));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('built in');
    manifest = readManifest(first);
    tree = join(work, 'tree');
    unpack(join(first, 'initramfs'), tree);
    expect(spawnSync('mknod', [join(tree, 'dev/null'), 'c', '1', '3']).status).toBe(0); // the kernel's devtmpfs has it
  }, BUILD_TIMEOUT_MS);

  const run = (program: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--net', 'chroot', tree, program, ...args], { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin', LC_ALL: 'C', LD_BIND_NOW: '1' } });
    return { status, output: stdout + stderr };
  };

  test('has what its manifest says, and an initramfs of at most 60 MB', () => {
    for (const [name, { size_bytes: sizeBytes, sha256: digest }] of Object.entries(manifest.files)) {
      expect([name, statSync(join(first, name)).size, sha256(join(first, name))]).toEqual([name, sizeBytes, digest]);
    }
    expect(readdirSync(first).sort()).toEqual([...Object.keys(manifest.files), 'manifest.json'].sort());
    expect(manifest.files.initramfs.size_bytes).toBeLessThanOrEqual(LARGEST_CLOUD_BYTES);
    expect(manifest.files.initramfs.size_bytes % 4).toBe(0); // so that the kernel finds the conductor's archive right behind it
    expect(manifest.node).toBe(process.versions.node);
    expect(manifest.packages.map(({ name }) => name)).toEqual(expect.arrayContaining(['busybox-static', 'davfs2', 'linux-image-cloud-amd64', 'libc6']));
  });

  test('is not built again when nothing has changed, also without its cache', () => {
    const before = statSync(join(first, 'initramfs')).mtimeMs;
    const { status, stdout } = build(ROOT, first, join(work, 'cache-unused'));
    expect([status, stdout]).toEqual([0, expect.stringContaining('up to date')]);
    expect(statSync(join(first, 'initramfs')).mtimeMs).toBe(before);
    expect(existsSync(join(work, 'cache-unused/bases'))).toBe(false);
  });

  test(
    'has the same bytes when another clone builds it from the packages; a damaged one is replaced',
    () => {
      const second = join(work, 'second');
      cpSync(join(work, 'cache-1/packages'), join(work, 'cache-2/packages'), { recursive: true });
      mkdirSync(second);
      for (const name of readdirSync(first)) writeFileSync(join(second, name), name === 'manifest.json' ? readFileSync(join(first, name)) : 'damaged');
      const { status, stderr } = build(copyProject(), second, join(work, 'cache-2'));
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(readdirSync(second).map((name) => [name, sha256(join(second, name))])).toEqual(readdirSync(first).map((name) => [name, sha256(join(first, name))]));
    },
    BUILD_TIMEOUT_MS,
  );

  test.each([
    ['node', '-p', 'process.version'],
    ['node', '/opt/metalshot/agent.cjs', '--help'],
    ['qemu-img', '--version'],
    ['mount.davfs', '-V'],
    ['partclone.ext4', '-v'],
    ['lsblk', '--version'],
    ['blkid', '--version'],
    ['sfdisk', '--version'],
    ['wipefs', '--version'],
    ['blkdiscard', '--version'],
    ['blockdev', '--version'],
    ['losetup', '--version'],
    ['partx', '--version'],
    ['mount', '--version'],
    ['umount', '--version'],
    ['tune2fs', '-V'],
    ['e2fsck', '-V'],
    ['dumpe2fs', '-V'],
    ['xfs_repair', '-V'],
    ['xfs_logprint', '-V'],
    ['xfs_admin', '-V'],
    ['mdir', '--version'],
    ['modprobe', '--version'],
    ['udevadm', '--version'],
    ['efibootmgr', '--version'],
  ])('runs %s %s %s', (program, ...args) => {
    const { status, output } = run(program, ...args);
    expect(output).not.toMatch(/error while loading|not found|symbol lookup/);
    expect(output.trim()).not.toBe('');
    expect([0, 1]).toContain(status); // partclone ends with 1 after its version
  });

  test("keeps each library's symbols complete: every program starts with all of them bound", () => {
    const programs = PROGRAMS.filter((name) => !name.includes('*')).map((name) => (existsSync(join(tree, 'usr/sbin', name)) ? `/usr/sbin/${name}` : `/usr/bin/${name}`));
    const elf = programs.filter((path) => readFileSync(join(tree, path)).subarray(1, 4).toString() === 'ELF' && !path.endsWith('/busybox'));
    const unbound = elf.flatMap((path) => (run('/usr/lib64/ld-linux-x86-64.so.2', '--verify', path).status === 0 && !/not found/.test(run('/usr/lib64/ld-linux-x86-64.so.2', '--list', path).output) ? [] : [path]));
    expect(elf.length).toBeGreaterThan(30);
    expect(unbound).toEqual([]);
  });

  test('makes SSH host keys, and reads a FAT file system with names of its code page', () => {
    expect(run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', '/tmp/key')).toEqual({ status: 0, output: '' });
    const image = join(tree, 'tmp/esp.img');
    expect(spawnSync('truncate', ['--size', '33M', image]).status).toBe(0);
    expect(spawnSync('mkfs.vfat', [image]).status).toBe(0);
    expect(spawnSync('mmd', ['-i', image, '::/EFI']).status).toBe(0);
    expect(run('mdir', '-b', '-i', '/tmp/esp.img', '::/')).toEqual({ status: 0, output: '::/EFI/\n' });
  });

  test('has a module for each device that virtual machines have, found by its alias', () => {
    const found = ['virtio:d00000002v00001AF4', 'virtio:d00000001v00001AF4', 'fs-xfs', 'fs-ext4'].map((alias) => run('modprobe', '--set-version', manifest.kernel, '--resolve-alias', alias).output.trim());
    expect(found).toEqual(['virtio_blk', 'virtio_net', 'xfs', 'ext4']);
  });

  test('is the ramdisk that the agent expects: with the marker, a user for davfs2, and a way to reboot', () => {
    expect(readFileSync(join(tree, 'etc/metalshot-ramdisk'), 'utf8')).toContain('cloud');
    expect(readFileSync(join(tree, 'etc/passwd'), 'utf8')).toMatch(/^davfs2:x:(\d+):\1:/m);
    expect(run('readlink', '-f', '/sbin/reboot').output.trim()).toBe('/usr/bin/busybox');
    expect(run('readlink', '-f', '/sbin/modprobe').output.trim()).toBe('/usr/bin/kmod');
    expect(readFileSync(join(tree, 'etc/ssl/certs/ca-certificates.crt'), 'utf8').match(/BEGIN CERTIFICATE/g)!.length).toBeGreaterThan(100);
  });
});

describeWhere([], 'the ramdisk program', () => {
  test.each([
    [['--variant', 'huge'], '--variant: expected generic or cloud, found "huge"'],
    [['--size', '1'], "Unknown option '--size'"],
  ])('says what is wrong with %j', (args, message) => {
    const { status, stderr } = build(ROOT, join(work, 'none'), join(work, 'cache-none'), ...args);
    expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  test('leaves a directory alone that holds something else', () => {
    const output = join(work, 'foreign');
    mkdirSync(output);
    writeFileSync(join(output, 'thesis.tex'), 'text');
    const { status, stderr } = build(ROOT, output, join(work, 'cache-none'));
    expect([status, stderr]).toEqual([1, expect.stringContaining('holds more than a ramdisk: thesis.tex')]);
    expect(readdirSync(output)).toEqual(['thesis.tex']);
  });
});
