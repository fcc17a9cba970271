/** The clients that people have work with the embedded image service as they do with a Glance without keystone. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../protocol/program.ts';
import { requirePackages } from '../../peers/glance.ts';
import { ImageApi } from './image-api.ts';
import { startEmbedded, type RunningServer } from './servers.ts';

const DATA = randomBytes(200_000);
const digest = (algorithm: string): string => createHash(algorithm).update(DATA).digest('hex');

let server: RunningServer;
let directory: string;
let file: string;
beforeAll(async () => {
  requirePackages({ '/usr/bin/openstack': 'python3-openstackclient', '/usr/bin/glance': 'python3-glanceclient' });
  directory = await mkdtemp(join(tmpdir(), 'stock-clients-'));
  file = join(directory, 'data');
  await writeFile(file, DATA);
  server = await startEmbedded();
});
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

/** By path and with an environment of its own: neither the machine's clouds nor its caches matter. */
const run = async (program: string, args: string[], acceptedExitCodes: number[] = [0]): Promise<string> => {
  const { stdout, stderr } = await runProgram('/usr/bin/python3', [program, ...args], { timeoutMs: 60_000, env: { PATH: '/usr/bin:/bin', HOME: directory, LC_ALL: 'C.UTF-8' }, cwd: directory, acceptedExitCodes });
  return stdout + stderr;
};

describe('openstack image', () => {
  const openstack = (...args: string[]): Promise<string> => run('/usr/bin/openstack', ['--os-auth-type', 'none', '--os-endpoint', server.url, 'image', ...args]);
  const refused = (...args: string[]): Promise<string> => run('/usr/bin/openstack', ['--os-auth-type', 'none', '--os-endpoint', server.url, 'image', ...args], [1]);
  const shown = async (name: string): Promise<Record<string, unknown>> => JSON.parse(await openstack('show', name, '-f', 'json')) as Record<string, unknown>;

  test('create with file, list, show, set, save with the same data, delete', async () => {
    await openstack('create', '--disk-format', 'raw', '--container-format', 'bare', '--file', file, 'first');
    expect(await shown('first')).toMatchObject({ status: 'active', size: DATA.length, checksum: digest('md5'), properties: expect.objectContaining({ os_hash_algo: 'sha512', os_hash_value: digest('sha512') }) });

    // Not with this client: without --file it uploads its standard input, which here is empty, and the image is active.
    const id = await new ImageApi(server.url).create({ name: 'second' });
    const list = JSON.parse(await openstack('list', '-f', 'json')) as { ID: string; Name: string; Status: string }[];
    expect(list.map((image) => [image.Name, image.Status]).sort()).toEqual([['first', 'active'], ['second', 'queued']]);
    expect(list.find((image) => image.Name === 'second')?.ID).toBe(id);
    expect(JSON.parse(await openstack('list', '--status', 'queued', '-f', 'json'))).toHaveLength(1);

    await openstack('set', '--name', 'renamed', '--property', 'purpose=test', '--tag', 'blue', '--min-disk', '3', '--protected', 'first');
    expect(await shown('renamed')).toMatchObject({ min_disk: 3, protected: true, tags: ['blue'], properties: expect.objectContaining({ purpose: 'test' }) });
    await openstack('unset', '--property', 'purpose', 'renamed');
    expect((await shown('renamed')).properties).not.toHaveProperty('purpose');

    const copy = join(directory, 'openstack-copy');
    await openstack('save', '--file', copy, 'renamed');
    expect((await readFile(copy)).equals(DATA)).toBe(true);

    expect(await refused('delete', 'renamed')).toContain('is protected and cannot be deleted');
    await openstack('set', '--unprotected', 'renamed');
    await openstack('delete', 'renamed', id);
    expect(JSON.parse(await openstack('list', '-f', 'json'))).toEqual([]);
    expect(await refused('show', 'renamed')).toContain('No Image found for renamed');
  }, 120_000);
});

describe('glance', () => {
  const glance = (...args: string[]): Promise<string> => run('/usr/bin/glance', ['--os-auth-token', 'any', '--os-image-url', server.url, ...args]);

  test('image-create with file, image-list, image-show, image-update, image-download with the same data, image-delete', async () => {
    const created = await glance('image-create', '--name', 'first', '--disk-format', 'raw', '--container-format', 'bare', '--property', 'os_distro=debian', '--file', file);
    const id = /\| id +\| (\S+)/.exec(created)?.[1] ?? '';
    expect(created).toMatch(/\| status +\| active/);
    expect(await glance('image-list')).toMatch(new RegExp(`${id} +\\| first`));
    expect(await glance('image-show', id)).toMatch(new RegExp(`\\| checksum +\\| ${digest('md5')}`));
    expect(await glance('image-update', '--name', 'renamed', '--property', 'purpose=test', '--remove-property', 'os_distro', id)).toMatch(/\| purpose +\| test/);

    const copy = join(directory, 'glance-copy');
    await glance('image-download', '--file', copy, id);
    expect((await readFile(copy)).equals(DATA)).toBe(true);

    await glance('image-deactivate', id);
    await expect(glance('image-download', '--file', join(directory, 'none'), id)).rejects.toThrow('has been deactivated');
    await glance('image-reactivate', id);
    expect(await glance('image-tag-update', id, 'blue')).toContain("['blue']");
    await glance('image-delete', id);
    expect(await glance('image-list')).not.toContain(id);
    await expect(glance('image-show', id)).rejects.toThrow(`No image found with ID ${id}`);
  }, 120_000);
});
