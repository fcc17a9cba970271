/** A server's life by our command line: what a person types, reads and scripts by, with real agents, disks and images. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Plan } from '../../../protocol/plan.ts';
import { runProgram, SYSTEM_PATH } from '../../../protocol/program.ts';
import { DIST } from '../../rig/dist.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { GIB, REDFISH, Rig, macOf } from '../../rig/rig.ts';

const MIB = 1024 ** 2;
/** Of one command, with all that it waits for. */
const COMMAND_TIMEOUT_MS = 180_000;

interface Said {
  stdout: string;
  stderr: string;
}

describe('a server from its first snapshot to the end of its copy', () => {
  let rig: Rig;
  /** The snapshot, downloaded. */
  let saved: string;
  beforeAll(async () => {
    rig = await Rig.start({ bootable: true, contentShare: 0.05, blankDisks: [6 * GIB, 2 * GIB] });
    saved = join(rig.directory, 'gold.qcow2');
  }, 120_000);
  afterAll(() => rig.close(), 60_000);

  /** Runs a command line. @throws when it ends with another exit code than expected. */
  async function type(line: readonly string[], exitCode = 0): Promise<Said> {
    return runProgram(process.execPath, [join(DIST, 'cli/main.js'), ...line], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      env: { PATH: SYSTEM_PATH, OS_ENDPOINT: rig.conductor.apiUrl, OS_IMAGE_ENDPOINT: rig.conductor.imageUrl },
      acceptedExitCodes: [exitCode],
    });
  }
  const words = (line: string): string[] => line.split(' ');
  async function stateOf(node: string): Promise<string> {
    return (await type(words(`node show ${node} -f value -c provision_state`))).stdout.trim();
  }
  async function enrol(name: string, index: number): Promise<void> {
    const driverInfo = Object.entries({ redfish_address: rig.rack.url, redfish_system_id: `/redfish/v1/Systems/machine-${index}`, redfish_username: REDFISH.username, redfish_password: REDFISH.password });
    await type([...words(`node create --driver redfish --boot-interface fake --name ${name}`), ...driverInfo.flatMap(([key, value]) => ['--driver-info', `${key}=${value}`])]);
    await type(words(`port create ${macOf(index)} --node ${name}`));
    await type(words(`node manage ${name} --wait`));
  }

  const diskOf = (index: number): string => rig.disks[index]!.path;
  async function compare(one: string, other: string, formats: readonly [string, string] = ['raw', 'raw']): Promise<'identical' | 'different'> {
    const { exitCode } = await runProgram('qemu-img', ['compare', '-f', formats[0], '-F', formats[1], one, other], { timeoutMs: 120_000, acceptedExitCodes: [0, 1] });
    return exitCode === 0 ? 'identical' : 'different';
  }
  const compareWithSnapshot = (index: number): Promise<string> => compare(diskOf(index), saved, ['raw', 'qcow2']);
  async function onFileSystem(index: number, command: string): Promise<string> {
    return (await runProgram('debugfs', ['-w', '-R', command, `${diskOf(index)}?offset=${rig.disks[0]!.fileSystem.offsetBytes}`], { timeoutMs: 60_000 })).stdout;
  }
  async function headOf(index: number): Promise<Buffer> {
    const disk = await open(diskOf(index));
    try {
      return (await disk.read(Buffer.alloc(MIB), 0, MIB, 0)).buffer;
    } finally {
      await disk.close();
    }
  }
  async function copyOfDisk(index: number): Promise<string> {
    const copy = join(rig.directory, `copy-${index}.img`);
    await runProgram('cp', ['--sparse=always', diskOf(index), copy], { timeoutMs: 60_000 });
    return copy;
  }

  test('snapshot --create-image --wait: the image is the disk, and the one object on stdout says of it what the image service says', async () => {
    await enrol('web-1', 0);
    await type(words('node adopt web-1 --wait'));
    const { stdout, stderr } = await type(words('node snapshot web-1 --create-image gold --full --max-downtime 30m --wait -f json'));
    const facts = JSON.parse(stdout) as Record<string, unknown>;
    expect(facts).toMatchObject({ node: 'web-1', provision_state: 'active', status: 'done', boot_back: 'done', last_error: null, os_hash_algo: 'sha512' });
    expect(facts['downtime_s']).toBeGreaterThan(0);
    expect(stderr).toContain(`created image ${String(facts['image_ref'])} (gold)`);
    expect(stderr).toMatch(/snapshot of web-1: streaming.*\n[^]*snapshot of web-1 done in /);

    const image = JSON.parse((await type(words('image show gold -f json'))).stdout) as Record<string, unknown>;
    expect(image).toMatchObject({ id: facts['image_ref'], status: 'active', size: facts['size_bytes'], os_hash_value: facts['os_hash_value'] });
    await type([...words('image save gold --file'), saved]);
    expect(await compareWithSnapshot(0)).toBe('identical');
    await expectServerAsBefore(rig);
  }, 240_000);

  test('restore --plan: every check passes, exit code 0, and the changed server is left as it is', async () => {
    await onFileSystem(0, 'rm /srv/witness-1');
    await onFileSystem(0, `write ${join(rig.directory, 'conductor.yaml')} /srv/not-there-before`);
    expect(await compareWithSnapshot(0)).toBe('different');
    const [boots, changed] = [rig.machine(0).bootLog.length, await copyOfDisk(0)];

    const { stdout, stderr } = await type(words('node restore web-1 --image gold --plan'));
    expect(stdout).toMatch(/\| disk_size +\| pass +\|/);
    expect(stdout).toMatch(/\| origin +\| pass +\|/);
    expect(stdout).not.toMatch(/\| (fail|warn) +\|/);
    expect(stderr).toMatch(/restore of web-1 would overwrite disk .*\(serial machine-0-disk0, 4\.00 GiB\) with gold \(qcow2, /);
    expect(stderr).toContain('nothing was touched');
    const plan = JSON.parse((await type(words('node restore web-1 --image gold --plan -f json'))).stdout) as Plan;
    expect(plan).toMatchObject({ verb: 'rebuild', result: 'pass', target_disk: { serial: 'machine-0-disk0' }, generalize: false });

    expect(rig.machine(0).bootLog.length).toBe(boots);
    expect(await compare(diskOf(0), changed)).toBe('identical');
    expect(await stateOf('web-1')).toBe('active');
  }, 120_000);

  test('restore --wait: the disk is again what the snapshot holds', async () => {
    const { stdout, stderr } = await type(words('node restore web-1 --image gold --wait'));
    expect(stdout).toBe('');
    expect(stderr).toMatch(/restore of web-1: fetch image/);
    expect(stderr).toMatch(/restore of web-1 done in .*: node web-1 is active, image .*, disk .* \(serial machine-0-disk0, 4\.00 GiB\)/);
    expect(await compareWithSnapshot(0)).toBe('identical');
    await expectServerAsBefore(rig);
    expect((await type(words('node show web-1'))).stdout).toMatch(/\| operation +\| rebuild done, image /);
  }, 240_000);

  test('provide --wait: another machine is cleaned and off', async () => {
    await enrol('web-2', 1);
    expect((await headOf(1)).includes('data of an earlier owner')).toBe(true);
    const { stderr } = await type(words('node provide web-2 --wait'));
    expect(stderr).toMatch(/provide of web-2 done in .*: node web-2 is available, disk .* \(serial machine-1-disk0, 6\.00 GiB\)/);
    expect((await headOf(1)).equals(Buffer.alloc(MIB))).toBe(true);
    expect(rig.machine(1).powerState).toBe('Off');
    const { inventory } = JSON.parse((await type(words('node inventory save web-2'))).stdout) as { inventory: { disks: unknown[] } };
    expect(inventory.disks).toEqual([expect.objectContaining({ serial: 'machine-1-disk0', size: 6 * GIB })]);
  }, 180_000);

  test('deploy --generalize --hostname --wait: the summary names what was changed, and so does the disk', async () => {
    const { stderr } = await type(words('node deploy web-2 --image gold --generalize --hostname silver --wait'));
    expect(stderr).toMatch(/changed machine-id \(\/etc\/machine-id on partition 2\)/);
    expect(stderr).toMatch(/changed host name \(\/etc\/hostname on partition 2\): gold became silver/);
    expect(stderr).toMatch(/changed GPT disk GUID/);
    expect(stderr).toMatch(/kept file system UUIDs/);
    expect(stderr).toMatch(/deploy of web-2 done in .*: node web-2 is active, image .*, disk .* \(serial machine-1-disk0, 6\.00 GiB\)/);
    expect(rig.machine(1).runningFrom).toBe('disk');
    expect(await onFileSystem(1, 'cat /etc/hostname')).toBe('silver\n');
    expect(await onFileSystem(1, 'cat /srv/witness-1')).toBe(await onFileSystem(0, 'cat /srv/witness-1'));
    expect(await compareWithSnapshot(1)).toBe('different');
    expect(await compareWithSnapshot(0)).toBe('identical'); // the server that it was made of
  }, 240_000);

  test('deploy --plan -f json where the disk is too small: the plan with its reason, exit code 3, nothing is touched', async () => {
    await enrol('web-3', 2);
    await type([...words('node set web-3 --property'), 'root_device={"serial": "machine-2-disk0"}']);
    await type(words('node provide web-3 --wait'));
    const [boots, before] = [rig.machine(2).bootLog.length, await copyOfDisk(2)];

    const planned = await type(words('node deploy web-3 --image gold --plan -f json'), 3);
    const plan = JSON.parse(planned.stdout) as Plan;
    expect(plan).toMatchObject({ verb: 'deploy', result: 'fail', target_disk: { serial: 'machine-2-disk0', size_bytes: 2 * GIB } });
    expect(plan.checks.filter(({ result }) => result === 'fail')).toEqual([expect.objectContaining({ name: 'disk_size', message: expect.stringContaining('too small') })]);
    expect(planned.stderr).toMatch(/the deploy of node web-3 would be refused: disk_size/);
    const refused = await type(words('node deploy web-3 --image gold --wait'), 3);
    expect(refused.stdout).toBe('');
    expect(refused.stderr).toMatch(/^baremetal: .*disk_size.*too small/m);

    expect(rig.machine(2).bootLog.length).toBe(boots);
    expect(await compare(diskOf(2), before)).toBe('identical');
    expect(await stateOf('web-3')).toBe('available');
  }, 180_000);

  test('undeploy --wait: the copy is gone from its disk, the machine off, and the server it was made of as it was', async () => {
    const { stderr } = await type(words('node undeploy web-2 --wait'));
    expect(stderr).toMatch(/undeploy of web-2 done in .*: node web-2 is available/);
    expect((await headOf(1)).equals(Buffer.alloc(MIB))).toBe(true);
    expect(rig.machine(1).powerState).toBe('Off');
    expect(await stateOf('web-2')).toBe('available');
    expect(await compareWithSnapshot(0)).toBe('identical');
    const history = JSON.parse((await type(words('node history list web-2 -f json'))).stdout) as Record<string, string>[];
    const transitions = history.map((event) => /^[a-z -]+ -> [a-z -]+?(?= by )/.exec(event['Description of the event'] ?? '')?.[0]);
    for (const transition of ['enroll -> verifying', 'cleaning -> available', 'available -> deploying', 'deploying -> active', 'active -> deleting', 'deleting -> cleaning']) expect(transitions).toContain(transition);
  }, 180_000);

  test('restore --wait of an image whose data were damaged: exit code 1, one object that says the disk was not touched', async () => {
    const images = join(rig.conductor.directory, 'state', 'images');
    const files = (await readdir(images, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    let damaged = 0;
    for (const { parentPath, name } of files) {
      const file = await open(join(parentPath, name), 'r+');
      try {
        if ((await file.stat()).size <= 10 * MIB) continue;
        await file.write(Buffer.from('damage'), 0, 6, 9 * MIB);
        damaged += 1;
      } finally {
        await file.close();
      }
    }
    expect(damaged).toBe(1);
    const boots = rig.machine(0).bootLog.length;

    const { stdout, stderr } = await type(words('node restore web-1 --image gold --wait -f json'), 1);
    expect(JSON.parse(stdout)).toMatchObject({ node: 'web-1', provision_state: 'deploy failed', last_error: expect.stringMatching(/digest|sha512/i), operation: { kind: 'rebuild', status: 'failed', disk_touched: false } });
    expect(stderr).toMatch(/^baremetal: the restore of node web-1 failed: .*Nothing was written to its disk/m);
    expect(rig.machine(0).bootLog.length).toBe(boots);
    expect(await compareWithSnapshot(0)).toBe('identical');
    await expectServerAsBefore(rig);
  }, 120_000);
});
