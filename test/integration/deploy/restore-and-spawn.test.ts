import { execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Disk } from '../../../demo/disk.ts';
import { compareListings, listTree, type TreeListing } from '../../../demo/tree-listing.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import type { OperationView } from '../../../protocol/provision.ts';
import { bootFromDisk } from '../../rig/bootable-disk.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { GIB, Rig } from '../../rig/rig.ts';

describe('an image of a snapshot', () => {
  let rig: Rig;
  let server: string;
  let image: string;
  beforeAll(async () => {
    rig = await Rig.start({ bootable: true, contentShare: 0.05, blankDisks: [6 * GIB, 5 * GIB, 2 * GIB] });
    server = await rig.enrol();
    image = await rig.createHolder({ name: 'gold' });
    await rig.api.demand(server, 'snapshot', { image_ref: image });
    await rig.api.settled(server, 'active', 120_000);
  }, 240_000);
  afterAll(() => rig.close(), 60_000);

  const original = (): Disk => rig.disks[0]!;
  async function filesOn({ path }: Disk): Promise<TreeListing> {
    const directory = join(rig.directory, 'mounted');
    await mkdir(directory, { recursive: true });
    return listTree({ directory, workDirectory: rig.directory, mounted: { image: path, ...original().fileSystem } });
  }
  const operationOf = async (node: string): Promise<OperationView> => (await rig.api.node(node)).driver_internal_info['operation'] as OperationView;

  test('carries a manifest of the disk it was made of', async () => {
    const { metalshot_manifest: text, hw_firmware_type: firmware } = await rig.image(image);
    const manifest = JSON.parse(String(text)) as Record<string, unknown>;
    expect(manifest).toMatchObject({ version: 1, node_uuid: server, boot_mode: 'bios', disk: { serial: 'machine-0-disk0', size_bytes: 4 * GIB } });
    expect(firmware).toBe('bios');
  });

  test('restores its server byte by byte, whatever became of the disk since', async () => {
    const { path, fileSystem } = original();
    const change = (command: string): void => void execFileSync('debugfs', ['-w', '-R', command, `${path}?offset=${fileSystem.offsetBytes}`], { stdio: 'pipe' });
    change('rm /srv/witness-1');
    change('rm /etc/hostname');
    change(`write ${rig.conductor.directory}/conductor.yaml /srv/not-there-before`);
    expect(compareListings(original().content, await filesOn(original())).length).toBeGreaterThanOrEqual(3);
    expect(await bootFromDisk(path)).not.toMatch(/witness-1: OK/);

    await rig.api.demand(server, 'rebuild', { image_ref: image });
    const done = await rig.api.settled(server, 'active', 120_000);
    expect(done).toMatchObject({ last_error: null, instance_info: { image_source: image } });
    expect(await operationOf(server)).toMatchObject({ kind: 'rebuild', status: 'done', phase: 'finished', image_source: image, disk_touched: true, disk: { serial: 'machine-0-disk0' } });

    const copy = join(rig.directory, 'copy.qcow2');
    await new GlanceClient({ url: rig.conductor.imageUrl, token: noToken, timeoutMs: 30_000, log: createLogger('test', 'silent') }).download(image, createWriteStream(copy));
    expect(execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', path, copy], { encoding: 'utf8' })).toContain('identical');
    await rm(copy);
    expect(compareListings(original().content, await filesOn(original()))).toEqual([]);
    const said = await bootFromDisk(path);
    expect(said).toMatch(/gold[^]*witness-1: OK[^]*witness-2: OK[^]*END OF BOOT/);
    await expectServerAsBefore(rig);
  }, 240_000);

  test('builds another server with a larger disk, which boots', async () => {
    const other = await rig.enrolAvailable(1);
    expect(await operationOf(other)).toMatchObject({ kind: 'clean', status: 'done' });
    expect(rig.machine(1).powerState).toBe('Off');
    await rig.api.demand(other, 'deploy', { image_ref: image });
    await rig.api.settled(other, 'active', 120_000);
    expect(rig.machine(1).runningFrom).toBe('disk');

    const disk = rig.disks[1]!;
    expect(compareListings(original().content, await filesOn(disk))).toEqual([]);
    expect(execFileSync('sgdisk', ['--verify', disk.path], { encoding: 'utf8' })).toContain('No problems found');
    expect(await operationOf(other)).toMatchObject({ report: { backup_gpt: 'moved', boot_entry: 'not needed', generalized: null } });
    const said = await bootFromDisk(disk.path);
    expect(said).toMatch(/gold[^]*witness-1: OK[^]*witness-2: OK[^]*END OF BOOT/);
    await expectServerAsBefore(rig, 1);
  }, 240_000);

  test('builds a server with an identity of its own when asked to', async () => {
    const other = await rig.enrolAvailable(2);
    await rig.api.demand(other, 'deploy', { image_ref: image, generalize: { hostname: 'silver' } });
    await rig.api.settled(other, 'active', 120_000);
    const differences = compareListings(original().content, await filesOn(rig.disks[2]!)).map((line) => line.slice(0, line.indexOf(':')));
    expect(differences.sort()).toEqual(['./etc/hostname', './etc/hosts', './etc/machine-id']);
    expect(await bootFromDisk(rig.disks[2]!.path)).toMatch(/silver[^]*witness-1: OK[^]*witness-2: OK[^]*END OF BOOT/);
    const { report } = await operationOf(other);
    expect(JSON.stringify(report)).toContain('machine-id');
  }, 240_000);

  test('is refused where the disk is too small, before anything is touched', async () => {
    const small = await rig.enrolManageable(3);
    await rig.api.expect(200, 'PATCH', `/v1/nodes/${small}`, [{ op: 'add', path: '/properties/root_device', value: { serial: 'machine-3-disk0' } }]);
    await rig.api.demand(small, 'provide');
    await rig.api.settled(small, 'available');
    const boots = rig.machine(3).bootLog.length;
    const plan = await rig.api.provision(small, 'deploy', { image_ref: image, dry_run: true });
    expect(plan.status).toBe(200);
    expect(plan.body['plan']).toMatchObject({ result: 'fail' });
    const refused = await rig.api.provision(small, 'deploy', { image_ref: image });
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused.body)).toMatch(/disk/);
    expect((await rig.api.node(small)).provision_state).toBe('available');
    expect(rig.machine(3).bootLog.length).toBe(boots);
  }, 120_000);
});
