import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AxiosInstance } from 'axios';
import type { NodeRow, PortRow, RamdiskBoot } from '../../../../conductor/db/rows.ts';
import { createBootFiles, type ServedBootFiles } from '../../../../conductor/netboot/boot-files.ts';
import { localBootScript } from '../../../../conductor/netboot/boot-scripts.ts';
import { createHttpClient } from '../../../../protocol/http-client.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { RAMDISK_CA_PATH, RAMDISK_CONFIG_PATH } from '../../../../protocol/ramdisk-boot.ts';
import { makeNode } from '../../../contract/power/driver-task.ts';
import { until } from '../../../rig/until.ts';
import { RamdiskStage } from './ramdisk-stage.ts';

const MAC = '52:54:00:aa:bb:01';
const SCRIPT = '/mac-52-54-00-aa-bb-01.ipxe';
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nof the conductor\n-----END CERTIFICATE-----\n';
const KERNEL = randomBytes(3_000_000);

let stage: RamdiskStage;
let files: ServedBootFiles;
let server: Server;
let http: AxiosInstance;
let ramdiskBoot: RamdiskBoot | null;
let claims: number;
const node = (): NodeRow => makeNode({ id: 7, ramdiskBoot });
const port = { address: MAC, pxeEnabled: true } as PortRow;

beforeEach(async () => {
  [ramdiskBoot, claims] = ['armed', 0];
  stage = await RamdiskStage.make({ vmlinuz: KERNEL });
  server = createServer((request, response) => files.handler(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  files = createBootFiles({
    ramdiskDirectory: stage.directory,
    isoDirectory: `${stage.root}/isos`,
    baseUrl,
    isoBaseUrl: baseUrl,
    apiUrl: 'https://127.0.0.1:6386',
    certificate: CERTIFICATE,
    ramdisk: { conductor_silence_timeout_s: 1, idle_timeout_s: 2, watchdog_timeout_s: 3 },
    kernelParameters: '',
    ledger: {
      machineOf: (address) => Promise.resolve(address === MAC ? { node: node(), ports: [port] } : null),
      claim() {
        claims += 1;
        ramdiskBoot = 'served';
        return Promise.resolve(true);
      },
      noteLeft() {
        ramdiskBoot = 'left';
        return Promise.resolve(true);
      },
    },
    log: createLogger('test', 'silent'),
  });
  http = createHttpClient({ baseURL: baseUrl, timeoutMs: 10_000 });
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await files.close();
  await stage.remove();
});

const bytes = async (path: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: Record<string, unknown>; data: Buffer }> => {
  const { status, headers: sent, data } = await http.get<Buffer>(path, { responseType: 'arraybuffer', headers });
  return { status, headers: { ...sent }, data };
};
/** Paths of kernel and initramfs as a machine is told them. */
const told = async (): Promise<{ kernel: string; initramfs: string }> => {
  const { data } = await http.get<string>(SCRIPT);
  const [, kernel = '', initramfs = ''] = /kernel \S+ \S+ http:\/\/[^/]+(\S+) [^]*initrd --name initramfs http:\/\/[^/]+(\S+)/.exec(data) ?? [];
  return { kernel, initramfs };
};

describe('what machines are served', () => {
  test('the bootstrap script, whole, with its length', async () => {
    const reply = await bytes('/boot.ipxe');
    expect(reply).toMatchObject({ status: 200, headers: { 'content-length': String(reply.data.length), 'cache-control': 'no-store' } });
    expect(reply.data.toString()).toMatch(/^#!ipxe\n/);
  });

  test('the kernel and the initramfs that its script names', async () => {
    const { kernel, initramfs } = await told();
    expect((await bytes(kernel)).data.equals(KERNEL)).toBe(true);
    expect((await bytes(initramfs)).data.toString()).toBe('an initramfs');
  });

  test('boot loaders', async () => {
    for (const name of ['grub-local.efi', 'undionly.kpxe', 'snponly.efi']) expect((await bytes(`/${name}`)).data.toString()).toBe(`loader ${name}`);
  });

  test('the small initramfs, with settings and certificate', async () => {
    const { status, data } = await bytes('/conductor.cpio');
    expect(status).toBe(200);
    const text = data.toString('latin1');
    for (const part of [RAMDISK_CONFIG_PATH.slice(1), RAMDISK_CA_PATH.slice(1), CERTIFICATE, '"idle_timeout_s": 2']) expect(text).toContain(part);
    expect(text.slice(0, 6)).toBe('070701');
  });

  test('a machine that asks for its script in capital letters is the same', async () => {
    expect((await http.get<string>('/mac-52-54-00-AA-BB-01.ipxe')).data).toContain('kernel');
  });

  test('HEAD tells lengths and hands out no ramdisk', async () => {
    const { kernel } = await told();
    ramdiskBoot = 'armed';
    claims = 0;
    expect((await http.head(kernel)).headers['content-length']).toBe(String(KERNEL.length));
    expect((await http.head(SCRIPT)).status).toBe(200);
    expect([ramdiskBoot, claims]).toEqual(['armed', 0]);
  });

  test.each<[string, number, string, [number, number]]>([
    ['bytes=0-0', 206, `bytes 0-0/${KERNEL.length}`, [0, 1]],
    ['bytes=100-199', 206, `bytes 100-199/${KERNEL.length}`, [100, 200]],
    ['bytes=2999990-', 206, 'bytes 2999990-2999999/3000000', [2_999_990, 3_000_000]],
    ['bytes=-5', 206, 'bytes 2999995-2999999/3000000', [2_999_995, 3_000_000]],
    ['bytes=5-99999999', 206, 'bytes 5-2999999/3000000', [5, 3_000_000]],
    ['bytes=9-5', 200, '', [0, 3_000_000]],
    ['bytes=0-1,5-6', 200, '', [0, 3_000_000]],
    ['lines=1-2', 200, '', [0, 3_000_000]],
  ])('the range %s', async (range, status, contentRange, [from, to]) => {
    const reply = await bytes((await told()).kernel, { Range: range });
    expect([reply.status, reply.headers['content-range'] ?? '']).toEqual([status, contentRange]);
    expect(reply.data.equals(KERNEL.subarray(from, to))).toBe(true);
  });

  test('a range behind the end is refused with the size', async () => {
    const reply = await bytes((await told()).kernel, { Range: 'bytes=3000000-' });
    expect([reply.status, reply.headers['content-range'], reply.data.length]).toEqual([416, 'bytes */3000000', 0]);
  });
});

describe('while a new ramdisk is built', () => {
  test('a machine that has its script gets the kernel and the initramfs of it', async () => {
    const { kernel, initramfs } = await told();
    await stage.publish({ vmlinuz: 'newer kernel', initramfs: 'newer initramfs' });
    expect((await bytes(kernel)).data.equals(KERNEL)).toBe(true);
    expect((await bytes(initramfs)).data.toString()).toBe('an initramfs');
    ramdiskBoot = 'armed';
    const newer = await told();
    expect(newer.kernel).not.toBe(kernel);
    expect((await bytes(newer.kernel)).data.toString()).toBe('newer kernel');
  });

  test('one that is not whole is not given out: machines get the one before', async () => {
    const { kernel } = await told();
    await stage.publish({ vmlinuz: 'newer kernel' });
    await writeFile(`${stage.directory}/vmlinuz`, 'half a kern!'); // as long as what the manifest tells
    ramdiskBoot = 'armed';
    expect((await told()).kernel).toBe(kernel);
  });

  test('a ramdisk that is gone for long is not found', async () => {
    const { kernel } = await told();
    for (let build = 0; build < 4; build += 1) {
      await stage.publish({ vmlinuz: `kernel ${build}` });
      ramdiskBoot = 'armed';
      await told();
    }
    expect((await bytes(kernel)).status).toBe(404);
  });
});

describe('what nobody is served', () => {
  test.each(['/', '/boot.ipxe/', '/ramdisk/../manifest.json', '/manifest.json', '/vmlinuz', '/ramdisk/0123456789abcdef0123456789abcdef/vmlinuz', '/%2e%2e/manifest.json', '/mac-52-54-00-aa-bb.ipxe', '/mac-52-54-00-aa-bb-01.ipxe.txt', '/iso/', '/iso/../manifest.json', '/v1/nodes'])('%s', async (path) => {
    expect(await rawStatus(`GET ${path}`)).toBe('404');
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND'])('%s', async (method) => {
    expect(await rawStatus(`${method} /boot.ipxe`)).toBe('405');
  });
});

test('a machine that goes away while it loads leaves no file open', async () => {
  const { kernel } = await told();
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(`GET ${kernel} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await once(socket, 'data');
  const opened = async (): Promise<number> => {
    const targets = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    return targets.filter((target) => target.startsWith(`${stage.directory}/vmlinuz`)).length;
  };
  expect(await opened()).toBe(2); // the one that is kept, and that of the request
  socket.destroy();
  await until('the file of the request is closed', async () => (await opened()) === 1);
});

test('a boot loader that is missing is not found; the check names it', async () => {
  await files.check('network');
  await rm(`${stage.directory}/snponly.efi`);
  expect((await bytes('/snponly.efi')).status).toBe(404);
  await expect(files.check('network')).rejects.toThrow(/boot\.ramdisk_directory: .*snponly\.efi.*npm run ramdisk/);
});

test('the own disk is what a machine gets that nobody expects', async () => {
  ramdiskBoot = null;
  expect((await http.get<string>(SCRIPT)).data).toBe(localBootScript(http.defaults.baseURL!));
});

/** The path goes out as it is: clients would tidy it up. */
async function rawStatus(start: string): Promise<string> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('utf8');
  socket.write(`${start} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const [text] = (await once(socket, 'data')) as [string];
  socket.destroy();
  return text.split(' ')[1] ?? '';
}
