import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { NodeRow, PortRow } from '../../../../conductor/db/rows.ts';
import { bootstrapScript, localBootScript } from '../../../../conductor/netboot/boot-scripts.ts';
import { scriptOfMachine, type ScriptParts } from '../../../../conductor/netboot/script-of-machine.ts';
import { InvalidParameterError } from '../../../../protocol/errors.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { makeNode } from '../../../contract/power/driver-task.ts';

const MAC = '52:54:00:aa:bb:01';
const BASE = 'http://10.0.0.1:6387';
const OWN_DISK = localBootScript(BASE);

interface Claim {
  nodeId: number;
  hash: string;
}

/** A machine with one node, in memory; what is stored of it is what the database would store. */
function stage(node: Partial<NodeRow>, over: Partial<ScriptParts> & { pxeEnabled?: boolean } = {}): { ask: (mac?: string) => Promise<string>; claims: Claim[]; row: NodeRow } {
  const row = makeNode({ id: 7, ramdiskBoot: 'armed', ...node });
  const claims: Claim[] = [];
  const parts: ScriptParts = {
    ledger: {
      machineOf: (address) => Promise.resolve(address === MAC ? { node: { ...row }, ports: [{ address: MAC, pxeEnabled: over.pxeEnabled ?? true } as PortRow] } : null),
      claim(nodeId, hash) {
        if (row.ramdiskBoot !== 'armed') return Promise.resolve(false);
        row.ramdiskBoot = 'served';
        claims.push({ nodeId, hash });
        return Promise.resolve(true);
      },
      noteLeft() {
        if (row.ramdiskBoot !== 'served') return Promise.resolve(false);
        row.ramdiskBoot = 'left';
        return Promise.resolve(true);
      },
    },
    ramdiskKey: () => Promise.resolve('0123456789abcdef0123456789abcdef'),
    baseUrl: BASE,
    apiUrl: 'https://10.0.0.1:6386',
    kernelParameters: 'console=ttyS0',
    log: createLogger('test', 'silent'),
    ...over,
  };
  return { ask: (mac = MAC) => scriptOfMachine(mac, '10.0.0.9', parts), claims, row };
}

/** Every line that can fail leads to the own disk, or out of iPXE. */
const unguarded = (script: string): string[] => script.split('\n').filter((line) => /^(kernel|initrd|chain|boot|sanboot)\b/.test(line) && !/ \|\| (goto local|exit 1)$| \|\|$/.test(line));

test('the bootstrap script asks for the script of the interface that boots, and boots the own disk when there is none', () => {
  const script = bootstrapScript(BASE);
  expect(script).toMatch(/^#!ipxe\nchain [^\n]*http:\/\/10\.0\.0\.1:6387\/mac-\$\{netX\/mac:hexhyp\}\.ipxe \|\| goto local\n:local\n/);
  expect(script.endsWith(OWN_DISK.slice('#!ipxe\n'.length))).toBe(true);
  expect(unguarded(script)).toEqual([]);
});

test('the own disk is the first drive with BIOS, and found by a loader of ours with UEFI', () => {
  expect(OWN_DISK.split('\n')).toEqual(['#!ipxe', ':local', 'imgfree', 'iseq ${platform} efi && goto uefi ||', 'sanboot --no-describe --drive 0x80 || exit 1', ':uefi', `chain --autofree ${BASE}/grub-local.efi ||`, 'exit 1', '']);
});

test('a machine that is expected gets kernel, both initramfs and its own command line, with a nonce of which only the hash is stored', async () => {
  const { ask, claims } = stage({ driverInfo: { kernel_append_params: 'quiet', provisioning_vlan: 42 } });
  const script = await ask();
  const [, nonce = ''] = /metalshot-boot-nonce=(\S+)/.exec(script) ?? [];
  expect(Buffer.from(nonce, 'base64url')).toHaveLength(32);
  expect(claims).toEqual([{ nodeId: 7, hash: createHash('sha256').update(nonce).digest('hex') }]);
  const kernel = script.split('\n').find((line) => line.startsWith('kernel ')) ?? '';
  for (const word of ['initrd=initramfs', 'initrd=conductor.cpio', 'console=ttyS0', 'quiet', 'panic=10', 'ipa-api-url=https://10.0.0.1:6386', 'metalshot-vlan=42', 'BOOTIF=01-52-54-00-aa-bb-01']) expect(kernel.split(' ')).toContain(word);
  expect(script).toContain(`${BASE}/ramdisk/0123456789abcdef0123456789abcdef/vmlinuz`);
  expect(script).toContain(`initrd --name initramfs ${BASE}/ramdisk/0123456789abcdef0123456789abcdef/initramfs`);
  expect(script).toContain(`initrd --name conductor.cpio ${BASE}/conductor.cpio`);
  expect(unguarded(script)).toEqual([]);
});

test('whoever asks again gets the own disk, and it is stored that the machine may have left its ramdisk', async () => {
  const { ask, claims, row } = stage({});
  expect(await ask()).toContain('kernel');
  expect(row.ramdiskBoot).toBe('served');
  for (const _again of [1, 2]) {
    expect(await ask()).toBe(OWN_DISK);
    expect(row.ramdiskBoot).toBe('left');
  }
  expect(claims).toHaveLength(1);
});

test('of many who ask at once one gets the ramdisk', async () => {
  const { ask, claims, row } = stage({});
  const scripts = await Promise.all(Array.from({ length: 20 }, () => ask()));
  expect(scripts.filter((script) => script !== OWN_DISK)).toHaveLength(1);
  expect(claims).toHaveLength(1);
  expect(row.ramdiskBoot).toBe('left'); // whether the machine goes by the answer with the ramdisk, nobody knows
});

test('a machine that is not expected is not noted as one that has left a ramdisk', async () => {
  for (const [mac, ramdiskBoot] of [[MAC, null], ['52:54:00:aa:bb:99', 'served']] as const) {
    const { ask, row } = stage({ ramdiskBoot });
    await ask(mac);
    expect(row.ramdiskBoot).toBe(ramdiskBoot);
  }
});

test.each<[string, Parameters<typeof stage>, string]>([
  ['an unknown machine', [{}], '52:54:00:aa:bb:99'],
  ['a machine that is not expected', [{ ramdiskBoot: null }], MAC],
  ['a machine whose ramdisk was handed out', [{ ramdiskBoot: 'served' }], MAC],
  ['a machine that has left its ramdisk', [{ ramdiskBoot: 'left' }], MAC],
  ['a port that is not to boot from the network', [{}, { pxeEnabled: false }], MAC],
  ['a machine with parameters that are none', [{ driverInfo: { kernel_append_params: 'a || chain http://elsewhere' } }], MAC],
  ['a machine with a command line that no kernel takes', [{ driverInfo: { kernel_append_params: 'x'.repeat(2_000) } }], MAC],
  ['a machine for which no ramdisk has been built', [{}, { ramdiskKey: () => Promise.reject(new InvalidParameterError('none')) }], MAC],
])('%s gets its own disk, and nothing is handed out', async (_what, [node, over], mac) => {
  const { ask, claims } = stage(node, over);
  expect(await ask(mac)).toBe(OWN_DISK);
  expect(claims).toEqual([]);
});
