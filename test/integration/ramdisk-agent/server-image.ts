import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProgram } from '../../../protocol/program.ts';

const MIB = 1024 ** 2;
const SECTOR = 512;
const TIMEOUT_MS = 60_000;

/** Of an image with ext4 or none; mkfs.xfs makes nothing below 300 MB. */
export const IMAGE_BYTES = 64 * MIB;
const XFS_IMAGE_BYTES = 344 * MIB;
const ESP = { startBytes: 2 * MIB, sizeBytes: 16 * MIB };
export const ROOT_START_BYTES = 20 * MIB;
/** Of data that cannot be mistaken for a hole: enough for a stream to be cut in. */
const BLOB_BYTES = 8 * MIB;
const OLD_NAME = 'gold';

export type FileSystem = 'ext4' | 'xfs' | 'none';

export interface ImageOptions {
  fileSystem?: FileSystem;
  label?: 'gpt' | 'dos';
  /** Paths in the EFI system partition; none: there is no such partition. */
  efiFiles?: readonly string[];
  /** More files, by path. */
  files?: Readonly<Record<string, string | Buffer>>;
  /** Symbolic links, by path. */
  links?: Readonly<Record<string, string>>;
}

/** The content of a server's disk as a sparse file: GPT or DOS table, EFI system partition, root file system with an identity, boot code, data between. */
export async function buildServerImage(directory: string, name: string, { fileSystem = 'ext4', label = 'gpt', efiFiles = [], files = {}, links = {} }: ImageOptions = {}): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, '');
  const imageBytes = fileSystem === 'xfs' ? XFS_IMAGE_BYTES : IMAGE_BYTES;
  await truncate(path, imageBytes);
  const root = { startBytes: ROOT_START_BYTES, sizeBytes: imageBytes - ROOT_START_BYTES - 4 * MIB };
  const range = ({ startBytes, sizeBytes }: typeof ESP): string => `start=${startBytes / SECTOR}, size=${sizeBytes / SECTOR}`;
  const efi = efiFiles.length > 0;
  const first = efi ? (label === 'gpt' ? 'uefi' : 'ef') : label === 'gpt' ? '21686148-6449-6E6F-744E-656564454649' : '83, bootable';
  await runProgram('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], { input: `label: ${label}\n${range(ESP)}, type=${first}\n${range(root)}\n`, timeoutMs: TIMEOUT_MS });
  if (efi) await fillEfiPartition(directory, path, efiFiles);
  const file = await open(path, 'r+');
  await file.write(Buffer.from('eb63909090', 'hex'), 0, 5, 0);
  await file.write(randomBytes(3 * SECTOR), 0, 3 * SECTOR, MIB - 2 * SECTOR); // across the border of what is withheld
  await file.write(randomBytes(70_000), 0, 69_632, 18 * MIB); // between partitions, with small holes around
  await file.write(randomBytes(4096), 0, 4096, 18 * MIB + 200 * 1024);
  await file.close();
  if (fileSystem !== 'none') await fillRoot(directory, path, { ...root, fileSystem, files: { ...identityFiles(), ...files }, links });
  return path;
}

const identityFiles = (): Record<string, string> => ({
  'etc/os-release': 'ID=test\n',
  'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  'var/lib/dbus/machine-id': '0123456789abcdef0123456789abcdef\n',
  'etc/hostname': `${OLD_NAME}\n`,
  'etc/hosts': `127.0.0.1 localhost\n127.0.1.1 ${OLD_NAME}.example.org ${OLD_NAME} # ${OLD_NAME} stays here\n192.0.2.7 ${OLD_NAME}en other\n`,
  'etc/ssh/ssh_host_rsa_key': 'old rsa key\n',
  'etc/ssh/ssh_host_rsa_key.pub': 'old rsa key.pub\n',
  'etc/ssh/ssh_host_ed25519_key': 'old ed25519 key\n',
  'etc/ssh/ssh_host_ed25519_key.pub': 'old ed25519 key.pub\n',
  'etc/ssh/ssh_host_ed25519_key-cert.pub': 'certificate of the old key\n',
  'etc/ssh/ssh_host_dsa_key': 'old dsa key\n',
  'etc/ssh/sshd_config': 'UsePAM yes\n',
  'var/lib/systemd/random-seed': 'seed',
  'etc/udev/rules.d/70-persistent-net.rules': 'SUBSYSTEM=="net"\n',
  'var/lib/dhcp/dhclient.eth0.leases': 'lease {}\n',
  'var/lib/NetworkManager/internal-1-eth0.lease': 'ADDRESS=192.0.2.7\n',
  'srv/data': 'stays as it is\n',
});

async function fillRoot(directory: string, path: string, root: { startBytes: number; sizeBytes: number; fileSystem: FileSystem; files: Record<string, string | Buffer>; links: Readonly<Record<string, string>> }): Promise<void> {
  const content = join(directory, `content-${randomBytes(4).toString('hex')}`);
  for (const [name, text] of Object.entries(root.files)) {
    await mkdir(dirname(join(content, name)), { recursive: true });
    await writeFile(join(content, name), text);
    if (/ssh_host_\w+_key$/.test(name)) await chmod(join(content, name), 0o640);
  }
  await mkdir(join(content, 'srv'), { recursive: true });
  await writeFile(join(content, 'srv/blob'), randomBytes(BLOB_BYTES));
  for (const [name, target] of Object.entries(root.links)) {
    await rm(join(content, name), { recursive: true, force: true });
    await symlink(target, join(content, name));
  }
  if (root.fileSystem === 'ext4') {
    await runProgram('mkfs.ext4', ['-q', '-F', '-d', content, '-E', `offset=${root.startBytes}`, path, `${root.sizeBytes / 1024}k`], { timeoutMs: TIMEOUT_MS });
  } else {
    // mkfs.xfs knows no offset
    const { stdout } = await runProgram('losetup', ['--find', '--show', '--offset', String(root.startBytes), '--sizelimit', String(root.sizeBytes), path], { timeoutMs: TIMEOUT_MS });
    try {
      await runProgram('mkfs.xfs', ['-q', '-p', await xfsPrototype(directory, content, root), stdout.trim()], { timeoutMs: TIMEOUT_MS });
    } finally {
      await runProgram('losetup', ['--detach', stdout.trim()], { timeoutMs: TIMEOUT_MS });
    }
  }
  await rm(content, { recursive: true });
}

/** mkfs.xfs(8), "protofile": a directory lists its members and ends with $. */
async function xfsPrototype(directory: string, content: string, { files, links }: { files: Record<string, string | Buffer>; links: Readonly<Record<string, string>> }): Promise<string> {
  interface Directory {
    [name: string]: Directory | string;
  }
  const tree: Directory = {};
  for (const [path, line] of [...Object.keys(files).map((name) => [name, `---644 0 0 ${join(content, name)}`]), ...Object.entries(links).map(([name, target]) => [name, `l--777 0 0 ${target}`])] as [string, string][]) {
    const names = path.split('/');
    let parent = tree;
    for (const name of names.slice(0, -1)) parent = (parent[name] ??= {}) as Directory;
    parent[names.at(-1)!] = line;
  }
  const write = (members: Directory): string[] => [...Object.entries(members).flatMap(([name, member]) => (typeof member === 'string' ? [`${name} ${member}`] : [`${name} d--755 0 0`, ...write(member)])), '$'];
  const prototype = join(directory, 'prototype');
  await writeFile(prototype, ['/none', '0 0', 'd--755 0 0', ...write(tree), ''].join('\n'));
  return prototype;
}

async function fillEfiPartition(directory: string, path: string, files: readonly string[]): Promise<void> {
  await runProgram('mkfs.vfat', ['-F', '16', '--offset', String(ESP.startBytes / SECTOR), path, String(ESP.sizeBytes / 1024)], { timeoutMs: TIMEOUT_MS });
  const drive = `${path}@@${ESP.startBytes}`;
  const loader = join(directory, 'loader.efi');
  await writeFile(loader, 'MZ a boot loader');
  const made = new Set<string>();
  for (const file of files) {
    const names = file.split('/');
    for (let depth = 1; depth < names.length; depth += 1) {
      const parent = names.slice(0, depth).join('/');
      if (!made.has(parent)) await runProgram('mmd', ['-i', drive, `::/${parent}`], { timeoutMs: TIMEOUT_MS });
      made.add(parent);
    }
    await runProgram('mcopy', ['-i', drive, loader, `::/${file}`], { timeoutMs: TIMEOUT_MS });
  }
}
