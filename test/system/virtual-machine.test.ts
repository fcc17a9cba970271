import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { bootMarker } from '../../demo/own-system.ts';
import type { Disk } from '../../demo/disk.ts';
import { buildSystemDisk } from '../../demo/system-disk.ts';
import { createLogger } from '../../protocol/log.ts';
import { runProgram } from '../../protocol/program.ts';
import type { RackConfigInput } from '../../simulator/config.ts';
import { readBootVariables } from '../../simulator/firmware-variables.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { FIRMWARE_VARIABLES_FILE } from '../../simulator/virtual-hardware.ts';
import type { VmConfig } from '../../simulator/vm-config.ts';
import { describeWhere } from '../machine-needs.ts';
import { DIST } from '../rig/dist.ts';
import { descendantsOf } from '../rig/processes.ts';
import { ProgramProcess } from '../rig/program-process.ts';
import { closeProvisioningNetwork, openProvisioningNetwork, PROVISIONING } from '../rig/provisioning-network.ts';
import { ramdiskFile } from '../rig/ramdisk-directory.ts';
import { SerialConsole, STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { until } from '../rig/until.ts';

const GIB = 1024 ** 3;
const MARKER = bootMarker('vm');
const MAC = '52:54:00:4d:54:01';

describeWhere(['root', 'tun', 'network namespace'], 'a virtual machine', () => {
  let directory: string;
  let disk: Disk;
  let rack: SimulatedRack | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-vm-'));
    await openProvisioningNetwork();
    disk = await buildSystemDisk(directory, { label: 'vm', kernel: ramdiskFile('vmlinuz'), sizeBytes: 5 * GIB, share: 0.01 });
  }, STEP_TIMEOUT_MS);
  afterEach(async () => {
    await rack?.close();
    rack = undefined;
  });
  afterAll(async () => {
    await closeProvisioningNetwork();
    await rm(directory, { recursive: true, force: true });
  });

  async function startMachine(vm: Partial<VmConfig>): Promise<{ machine: ReturnType<SimulatedRack['machine']>; console: SerialConsole }> {
    const machines: RackConfigInput['machines'] = [{ id: 'vm', macs: [MAC], disks: [disk.path], vm: { memory_mb: 256, network: { bridge: PROVISIONING.bridge }, ...vm } }];
    rack = await SimulatedRack.start({ redfish: { username: 'u', password: 'p' }, run_directory: join(directory, 'run'), machines }, createLogger('simulator', 'silent'));
    const machine = rack.machine('vm');
    return { machine, console: new SerialConsole(machine) };
  }

  const off = (machine: ReturnType<SimulatedRack['machine']>): Promise<unknown> => until('the machine is off', () => machine.powerState === 'Off', STEP_TIMEOUT_MS);
  const taps = async (): Promise<number> => (JSON.parse((await runProgram('ip', ['-json', 'link', 'show', 'master', PROVISIONING.bridge], { timeoutMs: 10_000 })).stdout || '[]') as unknown[]).length;
  const qemus = async (): Promise<number> => (await descendantsOf(process.pid)).filter(({ args }) => args[0] === 'qemu-system-x86_64').length;

  test('BIOS: boots its disk, shuts down by the power button, and a power cut leaves no process', async () => {
    const { machine, console } = await startMachine({});
    await machine.reset('On');
    await console.until(`${MARKER} firmware bios`);
    await machine.reset('GracefulShutdown');
    await off(machine);
    expect(console.text()).toContain('power button');
    await machine.reset('On');
    expect(await qemus()).toBe(1);
    await machine.reset('ForceOff');
    expect([machine.powerState, await qemus()]).toEqual(['Off', 0]);
  }, 2 * STEP_TIMEOUT_MS);

  test('a one-time boot from the network is used up by it: after a reset of the guest it boots its default order', async () => {
    const { machine, console } = await startMachine({});
    machine.bootOverride.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' }, machine.faults);
    await machine.reset('On');
    await console.until(MARKER); // nobody answers on the network: the disk is next
    expect(console.text(1)).toMatch(/iPXE/);
    console.typeLine('reboot');
    const { boot } = await console.until(MARKER, { after: 1 });
    expect([boot, console.text(2).includes('iPXE 1')]).toEqual([2, false]);
    expect(machine.bootLog.map(({ target, result }) => `${target} ${result}`)).toEqual(['Pxe off', 'Hdd running']);
    console.typeLine('poweroff');
    await off(machine);
  }, 2 * STEP_TIMEOUT_MS);

  test('a kernel that panics resets the machine, and a server that always tries the network first boots its disk all the same', async () => {
    const { machine, console } = await startMachine({ boot_order: ['network', 'disk'] });
    await machine.reset('On');
    await console.until(MARKER);
    console.typeLine('panic');
    await console.until(MARKER, { after: 1 });
    expect(machine.bootLog.map(({ target }) => target)).toEqual(['Pxe', 'Pxe']);
  }, 2 * STEP_TIMEOUT_MS);

  test('UEFI: boots its disk, keeps its boot variables while it is off, and tries the network by its own PXE', async () => {
    const { machine, console } = await startMachine({ firmware: 'uefi' });
    await machine.reset('On');
    await console.until(`${MARKER} firmware uefi`);
    await machine.reset('GracefulShutdown');
    await off(machine);
    const variables = join(machine.directory, FIRMWARE_VARIABLES_FILE);
    const before = await readBootVariables(variables);
    expect(before.bootNext).toBeNull();
    expect(before.entries[before.bootOrder[0]!]).toMatch(/Misc Device|vm-disk0/);
    machine.bootOverride.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' }, machine.faults);
    await machine.reset('On');
    await console.until(/Start PXE over IPv4/, { after: 1 });
    await machine.reset('ForceRestart');
    await console.until(MARKER, { after: 2 });
    await machine.reset('GracefulShutdown');
    await off(machine);
    expect(await readBootVariables(variables)).toEqual(before);
  }, 3 * STEP_TIMEOUT_MS);

  test('ends with the simulator, even when that is killed, and its tap with it', async () => {
    const file = join(directory, 'rack.json');
    const machines: RackConfigInput['machines'] = [{ id: 'vm', macs: [MAC], disks: [disk.path], power: 'On', vm: { memory_mb: 64, network: { bridge: PROVISIONING.bridge } } }];
    await writeFile(file, JSON.stringify({ redfish: { username: 'u', password: 'p' }, run_directory: join(directory, 'run-of-program'), machines }));
    const simulator = new ProgramProcess('simulator', join(DIST, 'simulator/main.js'), ['--config', file]);
    try {
      await simulator.line('where it is', (line) => line['url'] !== undefined, STEP_TIMEOUT_MS);
      expect([await qemus(), await taps()]).toEqual([1, 1]);
    } finally {
      await simulator.kill();
    }
    await until('QEMU has ended', async () => (await qemus()) === 0 && (await taps()) === 0, STEP_TIMEOUT_MS);
  }, STEP_TIMEOUT_MS);
});
