import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { PortRow } from '../../conductor/db/rows.ts';
import { createRedfishVirtualMediaBoot } from '../../conductor/drivers/boot/redfish-virtual-media.ts';
import type { DriverTask } from '../../conductor/drivers/interfaces.ts';
import { createRedfishManagement } from '../../conductor/drivers/management/redfish.ts';
import { createRedfishPower } from '../../conductor/drivers/power/redfish.ts';
import { createRedfishSystems, type RedfishSystems } from '../../conductor/drivers/redfish-systems.ts';
import { createCpioArchive } from '../../protocol/cpio-archive.ts';
import { createHttpClient } from '../../protocol/http-client.ts';
import { createLogger } from '../../protocol/log.ts';
import { runProgram } from '../../protocol/program.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { makeTask } from '../contract/power/driver-task.ts';
import { describeWhere } from '../machine-needs.ts';
import { IsoServer } from '../rig/iso-server.ts';
import { ramdiskFile } from '../rig/ramdisk-directory.ts';
import { SerialConsole, STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { until } from '../rig/until.ts';

const REDFISH = { username: 'operator', password: 'of-the-bmc' };
const MAC = '52:54:00:4d:56:01';
const NETWORK_DATA = { networks: [{ type: 'ipv4', ip_address: '192.0.2.7', netmask: '255.255.255.0', routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '192.0.2.1' }] }] };
const OVMF = '/usr/share/OVMF';
/** Shows what it was started with, and switches the machine off. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "parameters: $(/bin/busybox cat /proc/cmdline) end"
echo "settings: $(/bin/busybox tr -d '\\n' < /etc/metalshot/ramdisk.json)"
/bin/busybox poweroff -f
`;

describeWhere(['root'], "a machine that boots its node's ISO", () => {
  let boots: string;
  let directory: string;
  let isos: IsoServer;
  let systems: RedfishSystems;

  beforeAll(async () => {
    boots = await mkdtemp(join(tmpdir(), 'metalshot-vmedia-'));
    await writeFile(
      join(boots, 'initramfs'),
      createCpioArchive([
        { type: 'directory', path: 'bin' },
        { type: 'directory', path: 'dev' },
        { type: 'character-device', path: 'dev/console', major: 5, minor: 1 },
        { type: 'directory', path: 'proc' },
        { type: 'file', path: 'bin/busybox', content: await readFile('/bin/busybox'), mode: 0o755 },
        { type: 'file', path: 'init', content: INIT, mode: 0o755 },
      ]),
    );
  });
  beforeEach(async () => {
    directory = await mkdtemp(join(boots, 'test-'));
    systems = createRedfishSystems({ firstPollMs: 20, maxPollMs: 200 });
  });
  afterEach(async () => {
    await systems.close();
    await isos.close();
    await rm(directory, { recursive: true, force: true });
  });
  afterAll(() => rm(boots, { recursive: true, force: true }));

  async function startIsos(signed: boolean): Promise<void> {
    const loaders: Record<string, string> = signed ? { 'shimx64.efi': ramdiskFile('shimx64.efi'), 'gcdx64.efi': ramdiskFile('gcdx64.efi') } : {};
    isos = await IsoServer.start(directory, { ramdisk: { vmlinuz: ramdiskFile('vmlinuz'), initramfs: join(boots, 'initramfs'), ...loaders } });
  }
  const taskOf = (driverInfo: Record<string, string>): DriverTask => ({ ...makeTask({ driverInfo: { ...driverInfo, kernel_append_params: 'of-the-node=1' }, networkData: NETWORK_DATA }), ports: [{ address: MAC, pxeEnabled: true } as PortRow] });

  function expectParameters(console: string, bootNonceHash: string | null): void {
    const parameters = new Map((/parameters: (.*) end/.exec(console)?.[1] ?? '').split(' ').map((word): [string, string] => [word.split('=', 1)[0] ?? '', word.slice(word.indexOf('=') + 1)]));
    expect(Object.fromEntries(parameters)).toMatchObject({ panic: '10', 'of-the-node': '1', 'ipa-api-url': 'https://192.0.2.1:6386', 'metalshot-ip': '192.0.2.7/24,192.0.2.1', BOOTIF: `01-${MAC.replaceAll(':', '-')}` });
    if (bootNonceHash !== null) expect(createHash('sha256').update(parameters.get('metalshot-boot-nonce') ?? '').digest('hex')).toBe(bootNonceHash);
    expect(console).toMatch(/settings: \{.*"conductor_silence_timeout_s"/); // the small initramfs
  }

  test.each([
    ['bios', false],
    ['uefi', false],
    ['uefi', true],
  ] as const)('by %s (signed boot loaders: %j) gets its parameters and both ramdisks, without a network', async (firmware, signed) => {
    await startIsos(signed);
    const rack = await SimulatedRack.start({ redfish: REDFISH, run_directory: join(directory, 'run'), machines: [{ id: 'vm', macs: [MAC], disks: [], vm: { memory_mb: 512, firmware } }] }, createLogger('simulator', 'silent'));
    try {
      const task = taskOf({ redfish_address: rack.url, redfish_username: REDFISH.username, redfish_password: REDFISH.password });
      const boot = createRedfishVirtualMediaBoot(systems, isos);
      const { bootNonceHash } = await boot.prepareRamdisk(task);
      await createRedfishManagement(systems).setBootDevice(task, boot.ramdiskDevice, false);
      await createRedfishPower(systems).setPowerState(task, 'power on', STEP_TIMEOUT_MS);
      const machine = rack.machine('vm');
      const console = new SerialConsole(machine);
      await console.until(/settings: .*\}/);
      expectParameters(console.text(), bootNonceHash);
      await until('the machine is off', () => machine.powerState === 'Off', STEP_TIMEOUT_MS);
      await boot.cleanUpRamdisk(task);
      expect(machine.virtualMedia.image).toBeNull();
    } finally {
      await rack.close();
    }
  }, 2 * STEP_TIMEOUT_MS);

  /** What a machine with Secure Boot and Microsoft's keys writes to its console until it shows `wanted`. */
  async function bootSecurely(iso: string, wanted: RegExp): Promise<string> {
    const [variables, console] = [join(directory, 'variables.fd'), join(directory, 'console')];
    await copyFile(`${OVMF}/OVMF_VARS_4M.ms.fd`, variables);
    await writeFile(console, '');
    const args = [
      ...['-machine', 'q35,smm=on,accel=tcg', '-global', 'driver=cfi.pflash01,property=secure,value=on', '-m', '512', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${OVMF}/OVMF_CODE_4M.secboot.fd`, '-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
      ...['-serial', `file:${console}`, '-cdrom', iso], // a pipe that is not read at once would lose some of it
    ];
    const stop = new AbortController();
    const machine = runProgram('qemu-system-x86_64', args, { timeoutMs: 2 * STEP_TIMEOUT_MS, signal: stop.signal });
    const failed = machine.then(() => undefined, (error: unknown) => (stop.signal.aborted ? undefined : String(error)));
    const read = (): Promise<string> => readFile(console, 'latin1');
    try {
      await until(`the console shows ${String(wanted)}`, async () => wanted.test(await read()), STEP_TIMEOUT_MS);
      return await read();
    } finally {
      stop.abort();
      expect(await failed).toBeUndefined();
    }
  }
  async function makeIso(signed: boolean): Promise<string> {
    await startIsos(signed);
    const url = await isos.provideIso(taskOf({}), 'nonce', new AbortController().signal);
    const { data } = await createHttpClient({ timeoutMs: STEP_TIMEOUT_MS, maxReplyBytes: Infinity }).get<ArrayBuffer>(url, { responseType: 'arraybuffer' });
    const path = join(directory, 'medium.iso');
    await writeFile(path, Buffer.from(data));
    return path;
  }

  test('with Secure Boot it does so by signed boot loaders and a signed kernel', async () => {
    const console = await bootSecurely(await makeIso(true), /settings: .*\}/);
    expect(console).toMatch(/Kernel is locked down from EFI Secure Boot/);
    expectParameters(console, null);
  }, 2 * STEP_TIMEOUT_MS);

  test('with Secure Boot an ISO without them is not started', async () => {
    expect(await bootSecurely(await makeIso(false), /Access Denied|settings: /)).toMatch(/failed to load .*: Access Denied/);
  }, 2 * STEP_TIMEOUT_MS);
});
