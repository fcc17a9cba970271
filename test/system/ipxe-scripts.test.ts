/** What a machine does with the scripts that it is given: real firmware, real DHCP and TFTP, the conductor's own room `netboot`. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { bootSchema } from '../../conductor/config-boot.ts';
import { openDatabase, type Database } from '../../conductor/db/database.ts';
import { Listener } from '../../conductor/listener.ts';
import { createBootFiles, type ServedBootFiles } from '../../conductor/netboot/boot-files.ts';
import { DhcpServer } from '../../conductor/netboot/dhcp-server.ts';
import type { Disk } from '../../demo/disk.ts';
import { bootMarker } from '../../demo/own-system.ts';
import { buildSystemDisk } from '../../demo/system-disk.ts';
import { createCpioArchive } from '../../protocol/cpio-archive.ts';
import { createLogger } from '../../protocol/log.ts';
import { RAMDISK_CA_PATH, RAMDISK_CONFIG_PATH } from '../../protocol/ramdisk-boot.ts';
import { SimulatedRack } from '../../simulator/rack.ts';
import { describeWhere } from '../machine-needs.ts';
import { closeProvisioningNetwork, openProvisioningNetwork, PROVISIONING } from '../rig/provisioning-network.ts';
import { ramdiskFile } from '../rig/ramdisk-directory.ts';
import { SerialConsole, STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { newNode } from '../unit/conductor/db/node-of-tests.ts';
import { RamdiskStage } from '../unit/conductor/netboot/ramdisk-stage.ts';

const GIB = 1024 ** 3;
const MAC = '52:54:00:4d:56:01';
const MARKER = bootMarker('own');
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nof the conductor\n-----END CERTIFICATE-----\n';
const API = `https://${PROVISIONING.address}:6386`;
const log = createLogger('netboot', 'silent');

/** A ramdisk that says what it was told, and boots the machine anew when it is told so. */
const INIT = `#!/bin/busybox sh
bb=/bin/busybox
$bb mkdir -p /proc /dev
$bb mount -t proc proc /proc
$bb mount -t devtmpfs devtmpfs /dev
echo
echo "RAMDISK cmdline: $($bb cat /proc/cmdline)"
echo "RAMDISK config: $($bb tr -d '\\n' < ${RAMDISK_CONFIG_PATH})"
echo "RAMDISK certificate: $($bb sha256sum < ${RAMDISK_CA_PATH})"
while :; do
  line=
  read -r line || $bb sleep 1
  [ "$line" != reboot ] || $bb reboot -f
done
`;
const tinyInitramfs = (busybox: Buffer): Buffer =>
  createCpioArchive([
    { path: 'bin', type: 'directory' },
    { path: 'bin/busybox', type: 'file', content: busybox, mode: 0o755 },
    { path: 'dev', type: 'directory' },
    { path: 'dev/console', type: 'character-device', major: 5, minor: 1 },
    { path: 'init', type: 'file', content: INIT, mode: 0o755 },
  ]);

describeWhere(['root', 'tun', 'network namespace'], 'a machine whose firmware always tries the network first', () => {
  let directory: string;
  let stage: RamdiskStage;
  let disk: Disk;
  let db: Database;
  let listener: Listener;
  let files: ServedBootFiles;
  let dhcp: DhcpServer;
  let rack: SimulatedRack | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-ipxe-'));
    await openProvisioningNetwork();
    disk = await buildSystemDisk(directory, { label: 'own', kernel: ramdiskFile('vmlinuz'), sizeBytes: 5 * GIB, share: 0.01 });
    const given: Record<string, Buffer> = { initramfs: tinyInitramfs(await readFile('/bin/busybox')) };
    for (const name of ['vmlinuz', 'grub-local.efi', 'undionly.kpxe', 'snponly.efi']) given[name] = await readFile(ramdiskFile(name));
    stage = await RamdiskStage.make(given);
  }, STEP_TIMEOUT_MS);
  beforeEach(async () => {
    db = await openDatabase({ path: ':memory:' });
    listener = await Listener.bind({ name: 'boot', host: PROVISIONING.address, port: 0, tls: null });
    files = createBootFiles({
      ramdiskDirectory: stage.directory,
      isoDirectory: join(directory, 'isos'),
      baseUrl: listener.url,
      isoBaseUrl: listener.url,
      apiUrl: API,
      certificate: CERTIFICATE,
      ramdisk: { conductor_silence_timeout_s: 900, idle_timeout_s: 1_800, watchdog_timeout_s: 0 },
      kernelParameters: 'console=ttyS0,115200n8 quiet',
      ledger: {
        async machineOf(address) {
          const [node] = await db.nodes.findByAddresses([address]);
          return node ? { node, ports: await db.ports.ofNode(node.id) } : null;
        },
        claim: (id, hash) => db.nodes.claimRamdiskBoot(id, hash),
        noteLeft: (id) => db.nodes.noteRamdiskLeft(id),
      },
      log,
    });
    listener.serve(files.handler);
    const { dhcp: config } = bootSchema.parse({ dhcp: { interface: PROVISIONING.bridge, range: [PROVISIONING.firstLease, PROVISIONING.lastLease] } });
    dhcp = await DhcpServer.prepare({ config: config!, baseUrl: listener.url, directory: join(directory, 'dhcp'), ramdiskDirectory: stage.directory, knownAddresses: () => Promise.resolve([]), log });
    await dhcp.start();
  });
  afterEach(async () => {
    await rack?.close();
    rack = undefined;
    await dhcp.close();
    await listener.close();
    await files.close();
    await db.close();
  });
  afterAll(async () => {
    await closeProvisioningNetwork();
    await stage?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  test.each(['bios', 'uefi'] as const)('%s: boots its own disk while nobody expects it, the ramdisk once when it is expected, and its own disk after the next reset', async (firmware) => {
    rack = await SimulatedRack.start(
      { redfish: { username: 'u', password: 'p' }, run_directory: join(directory, firmware), machines: [{ id: 'own', macs: [MAC], disks: [disk.path], vm: { memory_mb: 512, firmware, boot_order: ['network', 'disk'], network: { bridge: PROVISIONING.bridge } } }] },
      createLogger('simulator', 'silent'),
    );
    const machine = rack.machine('own');
    const console = new SerialConsole(machine);

    await machine.reset('On'); // nobody knows it
    await console.until(`${MARKER} firmware ${firmware}`);
    expect(console.text(1)).toContain(`${listener.url}/boot.ipxe`);

    const { id } = await db.nodes.create(newNode());
    await db.ports.create({ nodeId: id, address: MAC });
    await db.nodes.update(id, { ramdiskBoot: 'armed' });
    await machine.reset('ForceRestart');
    const { match } = await console.until(/RAMDISK certificate: ([0-9a-f]{64})/, { after: 1 });
    expect(match[1]).toBe(createHash('sha256').update(CERTIFICATE).digest('hex'));
    const said = console.text(2);
    const [, commandLine = ''] = /RAMDISK cmdline: (.*)/.exec(said) ?? [];
    const words = commandLine.split(' ');
    expect(words).toEqual(expect.arrayContaining([`ipa-api-url=${API}`, 'panic=10', `BOOTIF=01-${MAC.replaceAll(':', '-')}`, 'console=ttyS0,115200n8']));
    const nonce = words.find((word) => word.startsWith('metalshot-boot-nonce='))?.split('=')[1] ?? '';
    expect(await db.nodes.get(id)).toMatchObject({ ramdiskBoot: 'served', bootNonceHash: createHash('sha256').update(nonce).digest('hex') });
    expect(said).toMatch(/RAMDISK config: .*"idle_timeout_s": 1800/);

    console.typeLine('reboot'); // as a ramdisk that panics does
    await console.until(`${MARKER} firmware ${firmware}`, { after: 2 });
    expect(console.text(3)).not.toContain('RAMDISK');
    expect(await db.nodes.get(id)).toMatchObject({ ramdiskBoot: 'left' });
  }, 4 * STEP_TIMEOUT_MS);
});
