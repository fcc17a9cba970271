import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow, PortRow } from '../../../conductor/db/rows.ts';
import type { BootMachine } from '../../../conductor/drivers/boot-files.ts';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { runProgram } from '../../../protocol/program.ts';
import { makeNode } from '../../contract/power/driver-task.ts';
import { describeWhere } from '../../machine-needs.ts';
import { IsoServer } from '../../rig/iso-server.ts';

const NONCE = 'nonce-of-this-boot';
const KERNEL = Buffer.from('a kernel that nobody starts '.repeat(5_000));
const INITRAMFS = Buffer.from('a ramdisk');
const PORTS = [{ address: '52:54:00:00:00:01', pxeEnabled: true } as PortRow];
const http = createHttpClient({ timeoutMs: 20_000, maxReplyBytes: 256 * 1024 ** 2 });

let directory: string;
let server: IsoServer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-iso-'));
  await writeFile(join(directory, 'vmlinuz'), KERNEL);
  await writeFile(join(directory, 'initramfs'), INITRAMFS);
  server = await start(directory);
});
afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

const start = (at: string): Promise<IsoServer> => IsoServer.start(at, { ramdisk: { vmlinuz: join(directory, 'vmlinuz'), initramfs: join(directory, 'initramfs') } });
const machine = (node: Partial<NodeRow> = {}): BootMachine => ({ node: makeNode(node), ports: PORTS });
const make = (of = machine()): Promise<string> => server.provideIso(of, NONCE, new AbortController().signal);
const bytes = async (url: string, headers: Record<string, string> = {}): Promise<{ status: number; body: Buffer; headers: Record<string, unknown> }> => {
  const { status, data, headers: answered } = await http.get<ArrayBuffer>(url, { responseType: 'arraybuffer', headers });
  return { status, body: Buffer.from(data), headers: answered };
};

/** Files of an ISO, by xorriso. */
async function unpack(iso: Buffer): Promise<string> {
  await writeFile(join(directory, 'read.iso'), iso);
  const out = join(directory, 'unpacked');
  await runProgram('xorriso', ['-osirrox', 'on', '-indev', join(directory, 'read.iso'), '-extract', '/', out], { timeoutMs: 60_000 });
  return out;
}

describe("a node's ISO", () => {
  test('holds kernel and both ramdisks as they are, and a boot configuration with the nonce and the card', async () => {
    const url = await make(machine({ driverInfo: { provisioning_vlan: 7 } }));
    const out = await unpack((await bytes(url)).body);
    expect([await readFile(join(out, 'metalshot/vmlinuz')), await readFile(join(out, 'metalshot/initramfs'))]).toEqual([KERNEL, INITRAMFS]);
    expect((await readFile(join(out, 'metalshot/conductor.cpio'))).toString('latin1')).toContain('conductor_silence_timeout_s');
    const config = await readFile(join(out, 'boot/grub/grub.cfg'), 'utf8');
    expect(config).toContain(`linux /metalshot/vmlinuz 'console=ttyS0' 'panic=10' 'ipa-api-url=https://192.0.2.1:6386' 'metalshot-boot-nonce=${NONCE}' 'metalshot-vlan=7' 'BOOTIF=01-52-54-00-00-00-01'; then`);
    expect(config).toMatch(/\nexit\n$/); // what cannot be booted hands back to the firmware
  });

  test('is read in pieces, as BMCs do', async () => {
    const url = await make();
    const whole = (await bytes(url)).body;
    expect(whole.subarray(32_769, 32_774).toString()).toBe('CD001');
    const piece = await bytes(url, { Range: 'bytes=32768-34815' });
    expect([piece.status, piece.headers['content-range'], piece.body.equals(whole.subarray(32_768, 34_816))]).toEqual([206, `bytes 32768-34815/${whole.length}`, true]);
    const { status, headers } = await http.head(url);
    expect([status, headers['content-length'], headers['accept-ranges'], headers['cache-control']]).toEqual([200, String(whole.length), 'bytes', 'no-store']);
  });

  test('is found by its unguessable name only, and is for nobody else of this host', async () => {
    const url = await make();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/iso\/[0-9a-f]{32}\/ramdisk\.iso$/);
    const base = url.slice(0, url.indexOf('/iso/'));
    const [name] = await readdir(server.isoDirectory);
    const wrong = ['/iso/', `/iso/${'0'.repeat(32)}/ramdisk.iso`, `/iso/${name}`, '/iso/..%2fmanifest.json', url.slice(base.length).replace('ramdisk.iso', '')];
    for (const path of wrong) expect([path, (await bytes(base + path)).status]).toEqual([path, 404]);
    expect((await http.put(url, 'x')).status).toBe(405);
    expect((await stat(server.isoDirectory)).mode & 0o777).toBe(0o700);
  });

  test('takes the place of the one before, whose name is void then', async () => {
    const node = machine();
    const before = await make(node);
    const now = await make(node);
    expect([(await bytes(before)).status, (await bytes(now)).status]).toEqual([404, 200]);
    expect(await readdir(server.isoDirectory)).toHaveLength(1);
  });

  test('goes with its boot; what a conductor before has left goes at the start, unless it is expected', async () => {
    const [kept, left] = [machine(), machine()];
    const [keptUrl, leftUrl] = [await make(kept), await make(left)];
    await mkdir(join(server.isoDirectory, 'staging-abc'));
    await server.isos.removeOrphans([kept.node.uuid]);
    expect([(await bytes(keptUrl)).status, (await bytes(leftUrl)).status]).toEqual([200, 404]);
    await server.removeIso(kept.node.uuid);
    await server.removeIso(kept.node.uuid);
    expect(await readdir(server.isoDirectory)).toEqual([]);
  });

  test('leaves nothing behind when its making is stopped', async () => {
    const stopped = AbortSignal.abort(new Error('the conductor stops'));
    await expect(server.provideIso(machine(), NONCE, stopped)).rejects.toThrow(/stopped/);
    expect(await readdir(server.isoDirectory)).toEqual([]);
  });
});

describe('what a node needs for an ISO', () => {
  test('is checked before: parameters, ports and Secure Boot', async () => {
    await server.checkMachine(machine());
    await expect(server.checkMachine(machine({ driverInfo: { provisioning_vlan: 5_000 } }))).rejects.toThrow(/provisioning_vlan/);
    await expect(server.checkMachine({ ...machine(), ports: [] })).rejects.toThrow(/port/);
    for (const node of [{ properties: { capabilities: 'boot_mode:uefi,secure_boot:true' } }, { instanceInfo: { capabilities: { secure_boot: 'True' } } }]) {
      await expect(server.checkMachine(machine(node))).rejects.toThrow(/capability secure_boot.*expected shimx64\.efi and gcdx64\.efi/);
    }
    await server.checkMachine(machine({ properties: { capabilities: 'secure_boot:false' } }));
    for (const name of ['shimx64.efi', 'gcdx64.efi']) await writeFile(join(server.ramdiskDirectory, name), 'MZ');
    await server.checkMachine(machine({ properties: { capabilities: 'secure_boot:true' } }));
  });

  test('a conductor without a ramdisk says how it gets one', async () => {
    await server.check();
    await rm(join(server.ramdiskDirectory, 'manifest.json'));
    const empty = await IsoServer.start(await mkdtemp(join(directory, 'other-')), { ramdisk: {} });
    await expect(empty.check()).rejects.toThrow(/npm run ramdisk/);
    await empty.close();
  });
});

describeWhere(['root'], 'a full file system', () => {
  test('is seen before an ISO is begun', async () => {
    const small = join(directory, 'small');
    await mkdir(small);
    await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', small], { timeoutMs: 10_000 });
    const there = await start(small).catch(async (error: unknown) => {
      await runProgram('umount', [small], { timeoutMs: 10_000 });
      throw error;
    });
    try {
      await expect(there.provideIso(machine(), NONCE, new AbortController().signal)).rejects.toThrow(/There is no room for the node's ISO: expected \d+ bytes, \d+ are free/);
      expect(existsSync(there.isoDirectory) ? await readdir(there.isoDirectory) : []).toEqual([]);
    } finally {
      await there.close();
      await runProgram('umount', [small], { timeoutMs: 10_000 });
    }
  });
});
