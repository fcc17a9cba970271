import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { RESET, SET_FAULTS, startRack, SYSTEM, until, type RackUnderTest, type SystemView } from '../../unit/simulator/rack-under-test.ts';

const STAND_IN = fileURLToPath(new URL('stand-in-agent.mjs', import.meta.url));
interface Marker {
  pid: number;
  ppid: number;
  remembered: boolean;
  addresses: string[];
  devices: { path: string; serial: string | null; wwn: string | null; model: string | null }[];
  hardware: Record<string, unknown>;
  processes: string[];
}

let directory: string;
let disk: string;
let marker: string;
let it: RackUnderTest;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ramdisk-test-'));
  [disk, marker] = [join(directory, 'disk.img'), join(directory, 'marker')];
  await writeFile(disk, '');
  await truncate(disk, 16 * 1024 * 1024);
  it = await startRack({ disks: [disk], agent: { api_url: 'http://127.0.0.1:1', marker } }, { agent_command: [process.execPath, STAND_IN] });
});
afterEach(async () => {
  await it.close();
  await rm(directory, { recursive: true, force: true });
});

const markers = (): Marker[] => (existsSync(marker) ? readFileSync(marker, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line) as Marker) : []);
const markersReached = (count: number): Promise<void> => until(() => markers().length >= count);
const system = async (): Promise<SystemView> => (await it.http.get<SystemView>(SYSTEM)).data;
const reset = async (type: string): Promise<number> => (await it.http.post(RESET, { ResetType: type })).status;
async function bootRamdisk(): Promise<void> {
  await it.http.patch(SYSTEM, { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } });
  expect(await reset('On')).toBe(204);
  await markersReached(1);
}

/** Processes of the host whose arguments or mount table name our temporary directory, this one aside. */
function traces(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => ['cmdline', 'mounts'].some((file) => read(`/proc/${pid}/${file}`).includes(directory)))
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
}
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process has ended meanwhile
  }
}
const loopDevices = async (): Promise<string> => (await runProgram('losetup', ['--associated', disk], { timeoutMs: 10_000 })).stdout.trim();

async function expectNothingLeft(): Promise<void> {
  expect(traces()).toEqual([]);
  expect(await loopDevices()).toBe('');
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(directory);
}

describe('a machine booted from the network', () => {
  test('runs the agent in its own world, with its addresses and its disk', async () => {
    await bootRamdisk();
    expect(await system()).toMatchObject({ PowerState: 'On', Boot: { BootSourceOverrideEnabled: 'Disabled' }, Oem: { Metalshot: { RunningFrom: 'ramdisk', BootLog: [{ target: 'Pxe', result: 'running' }] } } });
    const [agent] = markers();
    expect(agent).toMatchObject({ ppid: 1, remembered: false, addresses: ['52:54:00:00:00:01', '52:54:00:00:00:02'] });
    expect(agent!.processes.length).toBeLessThan(10); // its own processes, not the host's
    expect(await loopDevices()).toContain(disk);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(directory); // its mounts are not the host's
    expect(readFileSync((await system()).Oem.Metalshot.BootLog[0]!.log!, 'utf8')).toContain('stand-in runs as');
  });

  test('knows its disks by serials of their own, and its hardware as the configuration has it', async () => {
    await it.close();
    const [second, third] = [join(directory, 'second.img'), join(directory, 'third.img')];
    for (const path of [second, third]) {
      await writeFile(path, '');
      await truncate(path, 8 * 1024 * 1024);
    }
    it = await startRack(
      { disks: [disk, { path: second, serial: 'S2', wwn: '0x5000c500a1b2c3d4', model: 'Model 2', sector_size: 4096 }, { path: third, serial: null }], memory_bytes: 1024 ** 3, hardware: { boot_mode: 'uefi', disk_driver: 'nvme' }, agent: { api_url: 'http://127.0.0.1:1', marker } },
      { agent_command: [process.execPath, STAND_IN] },
    );
    await bootRamdisk();
    const { devices, hardware } = markers()[0]!;
    expect(devices).toEqual([
      { path: expect.stringMatching(/^\/dev\/loop\d+$/), serial: 'm1-disk0', wwn: null, model: null },
      { path: expect.stringMatching(/^\/dev\/loop\d+$/), serial: 'S2', wwn: '0x5000c500a1b2c3d4', model: 'Model 2' },
      { path: expect.stringMatching(/^\/dev\/loop\d+$/), serial: null, wwn: null, model: null },
    ]);
    const sectorSizes = await Promise.all(devices.map(({ path }) => readFile(`/sys/block/${path.slice('/dev/'.length)}/queue/logical_block_size`, 'utf8')));
    expect(sectorSizes.map(Number)).toEqual([512, 4096, 512]);
    expect(hardware).toEqual({ boot_mode: 'uefi', disk_driver: 'nvme', interface_driver: 'virtio_net', memory_bytes: 1024 ** 3, system_vendor: { manufacturer: 'Metalshot', product_name: 'Simulated machine', serial_number: 'm1' } });
  });

  test('a power cut leaves no process, no mount and no loop device', async () => {
    await bootRamdisk();
    expect(traces()).not.toEqual([]);
    expect(await reset('ForceOff')).toBe(204);
    await expectNothingLeft();
    expect(await system()).toMatchObject({ PowerState: 'Off', Oem: { Metalshot: { RunningFrom: null } } });
  });

  test('after "Once" the next boot is from its own disk, and the ramdisk is gone', async () => {
    await bootRamdisk();
    expect(await reset('ForceRestart')).toBe(204);
    expect(await system()).toMatchObject({ PowerState: 'On', Oem: { Metalshot: { RunningFrom: 'disk', BootLog: [{ target: 'Pxe' }, { target: 'Hdd' }] } } });
    await expectNothingLeft();
  });

  test('a graceful shutdown ends the ramdisk too', async () => {
    await bootRamdisk();
    await reset('GracefulShutdown');
    await until(async () => (await system()).PowerState === 'Off');
    await expectNothingLeft();
  });

  test('a ramdisk that resets the machine is gone, and the machine boots from its own disk', async () => {
    await bootRamdisk();
    await writeFile(`${marker}.reset`, '');
    await until(async () => (await system()).Oem.Metalshot.BootLog.length === 2);
    expect(await system()).toMatchObject({ PowerState: 'On', Oem: { Metalshot: { RunningFrom: 'disk', BootLog: [{ target: 'Pxe', result: 'off' }, { target: 'Hdd', result: 'running' }] } } });
    await expectNothingLeft();
  });

  test('an agent that dies is started again and finds its memory, until power-off', async () => {
    await bootRamdisk();
    await writeFile(`${marker}.die`, '');
    await until(() => read(join(it.rack.machine('m1').directory, 'boot-0001.log')).includes('ended with exit code 7 and is started again'));
    await rm(`${marker}.die`);
    await markersReached(2);
    expect(markers()[1]).toMatchObject({ ppid: 1, remembered: true });
    expect(markers().at(-1)!.processes.filter((stat) => stat.includes(') Z '))).toEqual([]); // orphans are reaped
    const known = markers().length;
    await reset('ForceOff');
    await it.http.patch(SYSTEM, { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } });
    await reset('On');
    await markersReached(known + 1);
    expect(markers()[known]).toMatchObject({ remembered: false });
  });

  test('a disk that is no regular file is never touched: the machine hangs and says why', async () => {
    await it.close();
    it = await startRack({ disks: ['/dev/null'] }, { agent_command: [process.execPath, STAND_IN] });
    await it.http.patch(SYSTEM, { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } });
    await reset('On');
    const { BootLog } = (await system()).Oem.Metalshot;
    expect(BootLog[0]).toMatchObject({ result: 'hung' });
    expect(BootLog[0]!.error).toMatch(/not a regular file/);
  });

  test('faults do not keep a closed rack from ending everything', async () => {
    await bootRamdisk();
    await it.http.post(SET_FAULTS, { power_off: 'refused', bmc: { mode: 'hang' } });
    await it.rack.close();
    await expectNothingLeft();
    expect(existsSync(it.rack.machine('m1').directory)).toBe(false);
  });
});

describe('the program', () => {
  let distribution: string;
  beforeAll(async () => {
    distribution = await compile();
  });
  afterAll(() => rm(distribution, { recursive: true, force: true }));

  test('says its URL in one line of JSON; SIGTERM ends everything it has started with exit code 0', async () => {
    const { child, url } = await startProgram(distribution);
    await bootByProgram(url);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await expectNothingLeft();
    expect(existsSync(join(directory, 'rack'))).toBe(false);
  });

  test('even a SIGKILL leaves no process, mount or loop device', async () => {
    const { child, url } = await startProgram(distribution);
    await bootByProgram(url);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(async () => traces().length === 0 && (await loopDevices()) === '');
    await expectNothingLeft();
  });

  test('a wrong configuration is named, with exit code 2', async () => {
    const file = join(directory, 'wrong.json');
    await writeFile(file, '{"redfish":{"username":"u"}}');
    const { exitCode, stderr } = await runProgram(process.execPath, [join(distribution, 'simulator/main.js'), '--config', file], { timeoutMs: 20_000, acceptedExitCodes: [2] });
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/redfish\.password.*machines.*run_directory/)]);
  });

  async function startProgram(dist: string): Promise<{ child: ChildProcess; url: string }> {
    const file = join(directory, 'rack.json');
    const machine = { id: 'm1', macs: ['52:54:00:00:00:01'], disks: [disk], agent: { api_url: 'http://127.0.0.1:1', marker } };
    await writeFile(file, JSON.stringify({ redfish: { username: 'u', password: 'p' }, run_directory: join(directory, 'rack'), machines: [machine], agent_command: [process.execPath, STAND_IN], log_level: 'silent' }));
    const child = spawn(process.execPath, [join(dist, 'simulator/main.js'), '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, url: (JSON.parse(line.toString()) as { url: string }).url };
  }

  async function bootByProgram(url: string): Promise<void> {
    const options = { auth: { username: 'u', password: 'p' } };
    await it.anonymous.patch(`${url}${SYSTEM}`, { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } }, options);
    await it.anonymous.post(`${url}${RESET}`, { ResetType: 'On' }, options);
    await markersReached(1);
  }

  /** The sources as Node runs them: only what the simulator needs, in a directory of its own. */
  async function compile(): Promise<string> {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const dist = await mkdtemp(join(root, 'node_modules', '.simulator-test-'));
    const project = join(dist, 'tsconfig.json');
    await writeFile(project, JSON.stringify({ extends: join(root, 'tsconfig.build.json'), compilerOptions: { rootDir: root, outDir: dist, incremental: false, tsBuildInfoFile: null, noCheck: true, sourceMap: false, types: [] }, files: [join(root, 'simulator/main.ts')], include: [] }));
    await runProgram(join(root, 'node_modules/.bin/tsc'), ['-p', project], { timeoutMs: 60_000 });
    await writeFile(join(dist, 'package.json'), JSON.stringify({ type: 'module' }));
    expect(await readFile(join(dist, 'simulator/main.js'), 'utf8')).toContain('SimulatedRack');
    return dist;
  }
});
