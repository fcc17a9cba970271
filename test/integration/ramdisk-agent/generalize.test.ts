import { mkdtemp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import type { GeneralizedItem, WriteImageResult } from '../../../protocol/deploy-commands.ts';
import { messageOf } from '../../../protocol/errors.ts';
import { runProgram } from '../../../protocol/program.ts';
import { findMount } from '../../../ramdisk-agent/capture/mounts.ts';
import { withFileSystem } from '../../../ramdisk-agent/deploy/generalize/file-system-mount.ts';
import { generalizeDisk } from '../../../ramdisk-agent/deploy/generalize/generalize-disk.ts';
import { ExplicitDevices } from '../../../ramdisk-agent/devices/explicit-devices.ts';
import { describeWhere } from '../../machine-needs.ts';
import { until } from '../../rig/until.ts';
import { DeployStage, readRange } from './deploy-stage.ts';
import { buildServerImage, IMAGE_BYTES, ROOT_START_BYTES } from './server-image.ts';

const MIB = 1024 ** 2;
const OLD_MACHINE_ID = '0123456789abcdef0123456789abcdef';
const GENERALIZE = { generalize: { hostname: 'copy-1' } };

jest.setTimeout(180_000);

let directory: string;
let image: string;
let stage: DeployStage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-generalize-'));
  image = await buildServerImage(directory, 'ext4.img');
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  stage = await DeployStage.start();
});
afterEach(() => stage.close());

async function deploy(path: string, params: Record<string, unknown> = GENERALIZE): Promise<CommandReport> {
  stage.images.serve(path);
  const { size } = await stat(path);
  await stage.addDisk(size, { prepare: () => Promise.resolve() });
  return stage.write(size, params);
}

const itemsOf = (report: CommandReport): GeneralizedItem[] => {
  expect(report.command_error).toBeNull();
  return (report.command_result as unknown as WriteImageResult).generalized!;
};

/** Looks into the written root file system. */
async function inspect(use: (root: string) => Promise<void>): Promise<void> {
  const mount = join(stage.directory, 'inspected');
  await mkdir(mount);
  await runProgram('mount', ['-o', `ro,nouuid,loop,offset=${ROOT_START_BYTES}`, stage.disks[0]!.device, mount], { timeoutMs: 30_000 }).catch(() => runProgram('mount', ['-o', `ro,loop,offset=${ROOT_START_BYTES}`, stage.disks[0]!.device, mount], { timeoutMs: 30_000 })); // nouuid is for XFS only
  try {
    await use(mount);
  } finally {
    await runProgram('umount', [mount], { timeoutMs: 30_000 });
  }
}

async function expectNewIdentity(root: string): Promise<void> {
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
  const machineId = await read('etc/machine-id');
  expect(machineId).toMatch(/^[0-9a-f]{32}\n$/);
  expect(machineId).not.toContain(OLD_MACHINE_ID);
  expect(await read('var/lib/dbus/machine-id')).toBe(machineId);
  expect(await read('etc/hostname')).toBe('copy-1\n');
  expect(await read('etc/hosts')).toBe('127.0.0.1 localhost\n127.0.1.1 copy-1.example.org copy-1 # gold stays here\n192.0.2.7 golden other\n');
  for (const type of ['rsa', 'ed25519']) {
    const key = join(root, `etc/ssh/ssh_host_${type}_key`);
    const { stdout } = await runProgram('ssh-keygen', ['-l', '-f', `${key}.pub`], { timeoutMs: 10_000 });
    expect(stdout).toContain(`root@copy-1 (${type.toUpperCase()})`);
    expect(await read(`etc/ssh/ssh_host_${type}_key`)).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n/);
  }
  for (const gone of ['etc/ssh/ssh_host_ed25519_key-cert.pub', 'etc/ssh/ssh_host_dsa_key', 'var/lib/systemd/random-seed', 'etc/udev/rules.d/70-persistent-net.rules', 'var/lib/dhcp/dhclient.eth0.leases', 'var/lib/NetworkManager/internal-1-eth0.lease']) {
    await expect(read(gone)).rejects.toThrow('ENOENT');
  }
  expect(await read('srv/data')).toBe('stays as it is\n');
  expect(await read('etc/ssh/sshd_config')).toBe('UsePAM yes\n');
}

describeWhere(['root', 'loop'], 'a generalized disk', () => {
  test('is a machine of its own: every item is changed and told (ext4)', async () => {
    const report = await deploy(image);
    const items = itemsOf(report);
    expect(items.map(({ item, outcome }) => `${item}: ${outcome}`).toSorted()).toEqual(
      ['machine-id: changed', 'D-Bus machine-id: changed', 'host name: changed', 'host name: changed', 'SSH host key (rsa): changed', 'SSH host key (ed25519): changed', 'SSH host key (dsa): removed', 'random seed: removed', 'names of network interfaces: removed', 'DHCP leases: removed', 'DHCP leases: removed', 'GPT disk GUID: changed', 'GPT partition GUIDs: kept', 'file system UUIDs: kept'].toSorted(),
    );
    expect(items.find(({ item }) => item === 'machine-id')).toMatchObject({ where: '/etc/machine-id on partition 2' });
    await inspect(async (root) => {
      await expectNewIdentity(root);
      expect((await stat(join(root, 'etc/ssh/ssh_host_rsa_key'))).mode & 0o777).toBe(0o640); // as the image had it
    });
    const diskId = async (path: string): Promise<string> => (await runProgram('sfdisk', ['--disk-id', path], { timeoutMs: 10_000 })).stdout.trim();
    expect(await diskId(stage.disks[0]!.device)).not.toBe(await diskId(image));
    expect(items.find(({ item }) => item === 'GPT disk GUID')!.note).toBe(await diskId(stage.disks[0]!.device));
    expect((await runProgram('sfdisk', ['--verify', stage.disks[0]!.device], { timeoutMs: 10_000 })).stdout).toContain('No errors detected');
    await runProgram('e2fsck', ['-fn', `${stage.disks[0]!.imagePath}?offset=${ROOT_START_BYTES}`], { timeoutMs: 60_000 });
    expect(await stage.leftovers()).toEqual([]);
  });

  test('twice from one image: two machines that share nothing', async () => {
    itemsOf(await deploy(image));
    const identities: string[][] = [];
    const collect = (): Promise<void> => inspect(async (root) => void identities.push(await Promise.all(['etc/machine-id', 'etc/ssh/ssh_host_rsa_key.pub', 'etc/ssh/ssh_host_ed25519_key'].map((path) => readFile(join(root, path), 'utf8')))));
    await collect();
    await rm(join(stage.directory, 'inspected'), { recursive: true });
    await stage.write(IMAGE_BYTES, GENERALIZE);
    await collect();
    identities[0]!.forEach((text, index) => expect(text).not.toBe(identities[1]![index]));
  });

  test('on XFS, also while the original is mounted (its UUID is the same)', async () => {
    const xfs = await buildServerImage(directory, 'xfs.img', { fileSystem: 'xfs' });
    const original = join(stage.directory, 'original');
    await mkdir(original);
    await runProgram('mount', ['-o', `loop,offset=${ROOT_START_BYTES}`, xfs, original], { timeoutMs: 30_000 });
    try {
      itemsOf(await deploy(xfs));
      await inspect(expectNewIdentity);
    } finally {
      await runProgram('umount', [original], { timeoutMs: 30_000 });
    }
  });

  test('with a DOS table keeps its identifier, and says why', async () => {
    const items = itemsOf(await deploy(await buildServerImage(directory, 'dos.img', { label: 'dos' })));
    expect(items.find(({ item }) => item === 'MBR disk identifier')).toMatchObject({ outcome: 'kept', note: expect.stringContaining('boot loaders refer to it') });
  });

  test('whose machine-id was never set is left to set its own', async () => {
    const items = itemsOf(await deploy(await buildServerImage(directory, 'fresh.img', { files: { 'etc/machine-id': 'uninitialized\n' } })));
    expect(items.find(({ item }) => item === 'machine-id')).toMatchObject({ outcome: 'kept' });
    await inspect(async (root) => expect(await readFile(join(root, 'etc/machine-id'), 'utf8')).toBe('uninitialized\n'));
  });
});

describeWhere(['root', 'loop'], 'symbolic links in an image', () => {
  test('never lead out of it: what they point to on this system is not changed', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'metalshot-outside-'));
    try {
      for (const name of ['id', 'hostname', 'hosts', 'key', 'random-seed', 'dhclient.leases']) await writeFile(join(outside, name), `gold of this system: ${name}\n`);
      const links = {
        'etc/machine-id': join(outside, 'id'),
        'etc/hostname': join(outside, 'hostname'),
        'etc/hosts': join(outside, 'hosts'),
        'etc/ssh/ssh_host_rsa_key': join(outside, 'key'),
        'var/lib/systemd': outside, // a directory on the way
        'var/lib/dhcp': outside,
        'var/lib/dbus/machine-id': '../../../etc/machine-id',
      };
      const items = itemsOf(await deploy(await buildServerImage(directory, 'hostile.img', { links })));
      for (const name of ['id', 'hostname', 'hosts', 'key', 'random-seed', 'dhclient.leases']) expect(await readFile(join(outside, name), 'utf8')).toBe(`gold of this system: ${name}\n`);
      expect(items.find(({ item }) => item === 'D-Bus machine-id')).toMatchObject({ outcome: 'kept', note: expect.stringContaining('refers to another one') });
      expect(items.find(({ item }) => item === 'SSH host key (rsa)')).toMatchObject({ outcome: 'removed' });
      await inspect(async (root) => {
        expect(await readFile(join(root, 'etc/machine-id'), 'utf8')).toMatch(/^[0-9a-f]{32}\n$/); // a file of its own now
        expect(await readFile(join(root, 'etc/hostname'), 'utf8')).toBe('copy-1\n');
      });
    } finally {
      await rm(outside, { recursive: true });
    }
  });

  test('in place of a directory that has to be written in fail the deployment: nothing boots from the disk', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'metalshot-outside-'));
    try {
      const report = await deploy(await buildServerImage(directory, 'hostile-etc.img', { links: { etc: outside } }));
      expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: expect.stringContaining('generalizing needs a root file system'), details: '{"disk_touched":true}' } });
      expect((await readRange(stage.disks[0]!.device, 0, MIB)).equals(Buffer.alloc(MIB))).toBe(true);
      expect(await stage.leftovers()).toEqual([]);
    } finally {
      await rm(outside, { recursive: true });
    }
  });
});

describeWhere(['root', 'loop'], 'an image without a root file system that can be mounted', () => {
  test('is not deployed generalized: the reason lists what was found, and nothing boots from the disk', async () => {
    const report = await deploy(await buildServerImage(directory, 'none.img', { fileSystem: 'none' }));
    expect(report.command_error).toMatchObject({ message: expect.stringMatching(/found on \/dev\/loop\d+ the whole disk: nothing that can be mounted here, partition 1: .*Deploy the image without generalizing/), details: '{"disk_touched":true}' });
    expect((await readRange(stage.disks[0]!.device, 0, MIB)).equals(Buffer.alloc(MIB))).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
  });
});

describeWhere(['root', 'loop'], 'a disk that loses what generalizing writes', () => {
  test.each(['has_journal', '^has_journal'])('fails the deployment (ext4 with %s)', async (journal) => {
    const small = join(stage.directory, 'small');
    await mkdir(small);
    await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small], { timeoutMs: 10_000 });
    let device: string | undefined;
    try {
      const path = join(small, 'disk.img');
      const tree = join(stage.directory, 'tree');
      await mkdir(join(tree, 'etc'), { recursive: true });
      for (const [name, text] of [['os-release', 'ID=test\n'], ['machine-id', `${OLD_MACHINE_ID}\n`]] as const) await writeFile(join(tree, 'etc', name), text);
      await runProgram('truncate', ['--size', String(64 * MIB), path], { timeoutMs: 10_000 });
      device = (await runProgram('losetup', ['--find', '--show', path], { timeoutMs: 10_000 })).stdout.trim();
      await runProgram('mke2fs', ['-q', '-t', 'ext4', '-O', journal, '-d', tree, device], { timeoutMs: 30_000 });
      await runProgram('sync', [path, device], { timeoutMs: 30_000 });
      await runProgram('dd', ['if=/dev/zero', `of=${join(small, 'fill')}`, 'bs=4k', 'status=none'], { timeoutMs: 30_000, acceptedExitCodes: [1] }); // until nothing more fits
      const [disk] = await new ExplicitDevices([device]).list();
      await expect(generalizeDisk(disk!, 'copy-1', stage.workspace, new AbortController().signal)).rejects.toThrow();
    } finally {
      await stage.workspace.clear();
      await until('the mounted loop device is gone', async () => device === undefined || (await runProgram('losetup', ['--associated', device], { timeoutMs: 10_000 })).stdout === '');
      if (device !== undefined) await runProgram('losetup', ['--detach', device], { timeoutMs: 10_000 });
      await runProgram('umount', [small], { timeoutMs: 10_000 });
    }
  });

  test('fails when an error has made the file system read-only', async () => {
    const mounted = await mountOf(image, 'ext4', async (directory) => void (await runProgram('mount', ['-o', 'remount,ro', directory], { timeoutMs: 10_000 })));
    expect(mounted.problem).toMatch(/was made read-only by an error/);
  });
});

describeWhere(['root', 'loop'], 'a file system of an image', () => {
  test('never panics the ramdisk, whatever it asks for when it is damaged', async () => {
    const panicking = await buildServerImage(directory, 'panicking.img');
    await runProgram('tune2fs', ['-e', 'panic', `${panicking}?offset=${ROOT_START_BYTES}`], { timeoutMs: 10_000 });
    const { options, problem } = await mountOf(panicking, 'ext4', () => Promise.resolve());
    expect(problem).toBeNull();
    expect(options).toContain('errors=remount-ro');
  });

  test('keeps what is not UTF-8 in its hosts as it is', async () => {
    const hosts = Buffer.concat([Buffer.from('127.0.1.1 gold\n# B'), Buffer.from([0xfc]), Buffer.from('ro\n192.0.2.9 caf'), Buffer.from([0xe9, 0xa0]), Buffer.from('gold\n')]);
    const old = await buildServerImage(directory, 'latin.img', { files: { 'etc/hosts': hosts } });
    itemsOf(await deploy(old));
    await inspect(async (root) => expect((await readFile(join(root, 'etc/hosts'))).toString('latin1')).toBe(hosts.toString('latin1').replace('gold', 'copy-1')));
  });
});

/** Mounts an image's root as generalizing does: its options meanwhile, and what it ended with. */
async function mountOf(path: string, type: string, use: (directory: string) => Promise<void>): Promise<{ options: string[]; problem: string | null }> {
  const { size } = await stat(path);
  const { device } = await stage.addDisk(size, { prepare: async (target) => void (await runProgram('cp', ['--sparse=always', path, target], { timeoutMs: 30_000 })) });
  const directory = join(stage.directory, 'mounted');
  await mkdir(directory);
  const region = { name: 'root', startBytes: ROOT_START_BYTES, sizeBytes: size - ROOT_START_BYTES - 4 * MIB };
  let options: string[] = [];
  const outcome = withFileSystem({ disk: device, region, type, directory }, new AbortController().signal, async () => {
    options = findMount(directory)?.options ?? [];
    await use(directory);
  });
  return outcome.then(() => ({ options, problem: null }), (error: unknown) => ({ options, problem: messageOf(error) }));
}
