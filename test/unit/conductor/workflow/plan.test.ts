import { describe, expect, test } from '@jest/globals';
import { rowOf } from '../../../../conductor/db/new-node.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import type { ImageFacts } from '../../../../conductor/drivers/deployment.ts';
import { planDeployment, type DeploymentQuestion } from '../../../../conductor/workflow/plan.ts';
import type { ImageManifest } from '../../../../protocol/image-manifest.ts';
import type { Inventory } from '../../../../protocol/inventory.ts';
import type { PlanCheck, PlanResult } from '../../../../protocol/plan.ts';
import { newNode } from '../db/node-of-tests.ts';

const GIB = 1024 ** 3;
const OTHER_NODE = '11111111-2222-4333-8444-555555555555';
const node: NodeRow = { id: 1, ...rowOf(newNode()) };

const disk = (more: Partial<Inventory['disks'][number]> = {}): Inventory['disks'][number] => ({ name: '/dev/sda', model: 'M', vendor: null, serial: 'S1', wwn: null, size: 8 * GIB, sector_size: 512, rotational: false, driver: 'ahci', ...more });
const inventoryOf = (more: Partial<Inventory> = {}): Inventory => ({
  disks: [disk()],
  interfaces: [{ name: 'eth0', mac_address: '52:54:00:00:00:01', driver: 'e1000e' }],
  cpu: { architecture: 'x86_64', count: 4, model_name: null },
  memory: { total: 16 * GIB },
  system_vendor: { manufacturer: null, product_name: null, serial_number: null },
  boot: { current_boot_mode: 'uefi' },
  ...more,
});
const manifestOf = (more: Partial<ImageManifest> = {}): ImageManifest => ({
  version: 1,
  node_uuid: node.uuid,
  snapshot_uuid: 'a',
  captured_at: '2026-01-01T00:00:00.000Z',
  agent_version: null,
  boot_mode: 'uefi',
  disk: { name: '/dev/sda', serial: 'S1', wwn: null, model: 'M', size_bytes: 8 * GIB, sector_size_bytes: 512 },
  storage_drivers: ['ahci'],
  network_drivers: ['e1000e'],
  image: { size_bytes: GIB, virtual_size_bytes: 8 * GIB, os_hash_algo: 'sha512', os_hash_value: 'ff' },
  ...more,
});
const imageOf = (more: Partial<ImageFacts> = {}): ImageFacts => ({ source: 'u', name: 'snapshot', diskFormat: 'qcow2', sizeBytes: GIB, virtualSizeBytes: 8 * GIB, minDiskBytes: 0, hashAlgo: 'sha512', hashValue: 'ff', manifest: manifestOf(), bootMode: 'uefi', ...more });
const ask = (more: Partial<DeploymentQuestion> = {}): DeploymentQuestion => ({ verb: 'rebuild', node, image: imageOf(), inventory: inventoryOf(), recordedDisk: { serial: 'S1', wwn: null, size_bytes: 8 * GIB }, hints: null, generalize: false, extra: [], ...more });
const checkOf = (question: DeploymentQuestion, name: string): PlanCheck | undefined => planDeployment(question).checks.find((check) => check.name === name);

test('a restore onto the machine and disk of the snapshot passes every check, and names the disk', () => {
  const plan = planDeployment(ask());
  expect(plan.checks.filter(({ result }) => result !== 'pass')).toEqual([]);
  expect(plan).toMatchObject({ verb: 'rebuild', node_uuid: node.uuid, result: 'pass', generalize: false, target_disk: { name: '/dev/sda', serial: 'S1', wwn: null, size_bytes: 8 * GIB } });
  expect(plan.image).toEqual({ source: 'u', name: 'snapshot', disk_format: 'qcow2', size_bytes: GIB, virtual_size_bytes: 8 * GIB });
  expect(plan.checks.map(({ name }) => name)).toEqual(['target_disk', 'disk_size', 'boot_mode', 'sector_size', 'storage_drivers', 'network_drivers', 'origin', 'disk_serial', 'generalize']);
});

const twoDisks = inventoryOf({ disks: [disk(), disk({ name: '/dev/sdb', serial: 'S2', size: 20 * GIB })] });
const nothingRecorded = { serial: null, wwn: null, size_bytes: null };
const CASES: readonly (readonly [promise: string, check: string, result: PlanResult, message: RegExp, question: Partial<DeploymentQuestion>])[] = [
  ['the recorded disk among several is the target', 'target_disk', 'pass', /recorded \(serial S1\)/, { inventory: twoDisks }],
  ['a recorded disk is compared by WWN in any case', 'target_disk', 'pass', /recorded/, { inventory: inventoryOf({ disks: [disk({ serial: null, wwn: '0xABC' })] }), recordedDisk: { serial: null, wwn: '0xabc', size_bytes: null } }],
  ['a recorded disk that was not found is refused', 'target_disk', 'fail', /was not among those/, { recordedDisk: { serial: 'GONE', wwn: null, size_bytes: null } }],
  ['a disk of the same serial and another WWN is another disk', 'target_disk', 'fail', /was not among those/, { inventory: inventoryOf({ disks: [disk({ wwn: 'a' })] }), recordedDisk: { serial: 'S1', wwn: 'b', size_bytes: null } }],
  ['a recorded disk is enough where nothing else is known', 'target_disk', 'pass', /ramdisk refuses/, { inventory: null }],
  ['a hint by serial wins over the recorded disk', 'target_disk', 'pass', /hints name \(\/dev\/sdb/, { inventory: twoDisks, hints: { serial: 'S2' } }],
  ['a hint by WWN does too, also where the recorded disk is gone', 'target_disk', 'pass', /hints name \(\/dev\/sda/, { inventory: inventoryOf({ disks: [disk({ serial: 'NEW', wwn: '0xB' })] }), hints: { wwn: '0xb' } }],
  ['a replaced disk that no ramdisk has seen yet is a warning', 'target_disk', 'warn', /replaced the recorded one \(serial S1\).*Nothing is written when/, { hints: { serial: 'NEW' } }],
  ['a hint that names the recorded disk changes nothing', 'target_disk', 'pass', /recorded \(serial S1\)/, { inventory: twoDisks, hints: { serial: 's== s1 ' } }],
  ['a hint by size or name does not win over it: it can only refuse it', 'target_disk', 'fail', /recorded \(serial S1\) does not match the root device hints/, { inventory: twoDisks, hints: { name: '/dev/sdb', size: '> 10' } }],
  ['a hint that leaves a choice names no disk', 'target_disk', 'fail', /recorded \(serial S1\) does not match/, { inventory: twoDisks, hints: { serial: '<or> S2 <or> S3' } }],
  ['a recorded disk may have grown, and may not show its WWN now', 'target_disk', 'pass', /recorded \(serial s1 , wwn 0xa\)/, { recordedDisk: { serial: 's1 ', wwn: '0xa', size_bytes: GIB } }],
  ['two disks of the recorded serial are refused', 'target_disk', 'fail', /Several disks are what the node has recorded/, { inventory: inventoryOf({ disks: [disk(), disk({ name: '/dev/sdb' })] }) }],
  ['a hint that only the ramdisk can compare may refuse the recorded disk: a warning', 'target_disk', 'warn', /recorded \(serial S1\) is written, if it matches the hint hctl/, { hints: { hctl: '0:0:0:0' } }],
  ['hints that can not be used are refused beside a recorded disk too', 'target_disk', 'fail', /unknown hint "colour"/, { hints: { colour: 'red' } }],
  ['a hint names one of several disks', 'target_disk', 'pass', /\/dev\/sdb/, { inventory: twoDisks, recordedDisk: null, hints: { serial: 'S2' } }],
  ['a hint with an operator is understood', 'target_disk', 'pass', /\/dev\/sdb/, { inventory: twoDisks, recordedDisk: nothingRecorded, hints: { size: '> 10' } }],
  ['hints that match no disk are refused', 'target_disk', 'fail', /No disk of the machine matches/, { recordedDisk: null, hints: { serial: 'S9' } }],
  ['hints that match several disks are refused', 'target_disk', 'fail', /Several disks match/, { inventory: twoDisks, recordedDisk: null, hints: { model: 'm' } }],
  ['an unknown hint is refused', 'target_disk', 'fail', /unknown hint "colour"/, { recordedDisk: null, hints: { colour: 'red' } }],
  ['a hint that is no scalar is refused', 'target_disk', 'fail', /needs a text/, { recordedDisk: null, hints: { serial: ['S1'] } }],
  ['a hint that only the ramdisk can compare is a warning', 'target_disk', 'warn', /Only the ramdisk can compare the hint by_path/, { recordedDisk: null, hints: { by_path: '/dev/disk/by-path/x' } }],
  ['the only disk needs no name', 'target_disk', 'pass', /only disk/, { recordedDisk: null }],
  ['a disk below 4 GiB beside it does not matter', 'target_disk', 'pass', /only disk/, { recordedDisk: null, inventory: inventoryOf({ disks: [disk(), disk({ name: '/dev/sdb', size: GIB })] }) }],
  ['several disks and no name are refused', 'target_disk', 'fail', /several disks.*root_device/, { inventory: twoDisks, recordedDisk: null }],
  ['empty hints name nothing', 'target_disk', 'fail', /several disks/, { inventory: twoDisks, recordedDisk: nothingRecorded, hints: {} }],
  ['only small disks are refused', 'target_disk', 'fail', /no disk of at least 4 GiB/, { inventory: inventoryOf({ disks: [disk({ size: GIB })] }), recordedDisk: null }],
  ['nothing named and nothing known is a warning', 'target_disk', 'warn', /nothing is known of the machine/, { inventory: null, recordedDisk: null }],

  ['a larger disk passes', 'disk_size', 'pass', /4294967296 bytes at the end/, { image: imageOf({ virtualSizeBytes: 4 * GIB }) }],
  ['a disk that is one byte too small is refused', 'disk_size', 'fail', /1 bytes too small/, { image: imageOf({ virtualSizeBytes: 8 * GIB + 1 }) }],
  ['the recorded size counts where no inventory is known', 'disk_size', 'fail', /too small/, { inventory: null, image: imageOf({ virtualSizeBytes: 9 * GIB }) }],
  ['an unknown disk is a warning', 'disk_size', 'warn', /ramdisk compares it before a byte is written/, { inventory: null, recordedDisk: null }],
  ['an unknown virtual size is a warning', 'disk_size', 'warn', /once it is fetched/, { image: imageOf({ virtualSizeBytes: null, manifest: null }) }],
  ['the manifest tells the virtual size where the service does not', 'disk_size', 'pass', /exactly/, { image: imageOf({ virtualSizeBytes: null }) }],
  ['min_disk above the disk is refused', 'min_disk', 'fail', /min_disk/, { image: imageOf({ minDiskBytes: 9 * GIB }) }],
  ['min_disk that fits passes', 'min_disk', 'pass', /owner asks for/, { image: imageOf({ minDiskBytes: 8 * GIB }) }],
  ['min_disk of an unknown disk is a warning', 'min_disk', 'warn', /can not be compared/, { image: imageOf({ minDiskBytes: GIB }), inventory: null, recordedDisk: null }],

  ['a UEFI image on a BIOS machine is refused', 'boot_mode', 'fail', /by UEFI, the machine by BIOS/, { inventory: inventoryOf({ boot: { current_boot_mode: 'bios' } }) }],
  ['a BIOS image on a UEFI machine is refused', 'boot_mode', 'fail', /by BIOS, the machine by UEFI/, { image: imageOf({ bootMode: 'bios' }) }],
  ['a machine said to be switched over since is a warning', 'boot_mode', 'warn', /when its ramdisk last looked/, { image: imageOf({ bootMode: 'bios' }), node: { ...node, properties: { capabilities: 'profile:x, boot_mode:bios' } } }],
  ['the capability counts where nothing was seen', 'boot_mode', 'fail', /by UEFI, the machine by BIOS/, { inventory: null, node: { ...node, properties: { capabilities: { boot_mode: 'bios' } } } }],
  ['an unknown machine is a warning', 'boot_mode', 'warn', /not known yet/, { inventory: null }],
  ['an image that does not say is a warning', 'boot_mode', 'warn', /hw_firmware_type/, { image: imageOf({ bootMode: null }) }],

  ['a disk of 4096-byte sectors refuses an image of 512', 'sector_size', 'fail', /sectors of 512 bytes, the target has 4096/, { inventory: inventoryOf({ disks: [disk({ sector_size: 4096 })] }) }],
  ['an unknown sector size is a warning', 'sector_size', 'warn', /not known/, { inventory: null }],
  ['another storage driver is a warning', 'storage_drivers', 'warn', /disk driver megaraid_sas/, { inventory: inventoryOf({ disks: [disk({ driver: 'megaraid_sas' })] }) }],
  ['only the driver of the target disk counts', 'storage_drivers', 'pass', /no other disk drivers/, { inventory: inventoryOf({ disks: [disk(), disk({ name: '/dev/nvme0n1', serial: 'S2', driver: 'nvme' })] }) }],
  ['another network driver is a warning', 'network_drivers', 'warn', /network driver mlx5_core/, { inventory: inventoryOf({ interfaces: [{ name: 'a', mac_address: 'x', driver: 'mlx5_core' }, { name: 'b', mac_address: 'y', driver: null }] }) }],
  ['drivers that nobody knows are a warning', 'network_drivers', 'warn', /not known/, { image: imageOf({ manifest: manifestOf({ network_drivers: [] }) }) }],
  ['an unknown machine is a warning for its drivers', 'storage_drivers', 'warn', /this machine are not known/, { inventory: null }],

  ['a replaced disk is a warning', 'disk_serial', 'warn', /disk was replaced/, { image: imageOf({ manifest: manifestOf({ disk: { name: 'x', serial: 'OLD', wwn: null, model: null, size_bytes: 8 * GIB, sector_size_bytes: 512 } }) }) }],
  ['a disk without a serial can not be told', 'disk_serial', 'warn', /not known whether/, { recordedDisk: null, inventory: inventoryOf({ disks: [disk({ serial: null })] }) }],
  ['generalizing a restore is a warning', 'generalize', 'warn', /exact restore/, { generalize: true }],
  ['an image of another machine is a copy', 'origin', 'pass', /copy/, { image: imageOf({ manifest: manifestOf({ node_uuid: OTHER_NODE }) }) }],
  ['a copy that is not generalized is a warning when deployed', 'generalize', 'warn', /After this deploy two machines.*--generalize/, { verb: 'deploy', image: imageOf({ manifest: manifestOf({ node_uuid: OTHER_NODE }) }) }],
  ['a copy that is not generalized is a warning when rebuilt', 'generalize', 'warn', /After this rebuild two machines/, { image: imageOf({ manifest: manifestOf({ node_uuid: OTHER_NODE }) }) }],
  ['a copy that is generalized passes', 'generalize', 'pass', /of its own/, { generalize: true, image: imageOf({ manifest: manifestOf({ node_uuid: OTHER_NODE }) }) }],
  ['a copy of a machine that is gone takes its identity over', 'generalize', 'pass', /no longer enrolled/, { originExists: false, image: imageOf({ manifest: manifestOf({ node_uuid: OTHER_NODE }) }) }],
  ['an image without a manifest is a warning', 'manifest', 'warn', /can not be compared/, { image: imageOf({ manifest: null }) }],
];

describe('what a plan says', () => {
  test.each(CASES)('%s', (_promise, name, result, message, question) => {
    const check = checkOf(ask(question), name);
    expect(check).toMatchObject({ result, message: expect.stringMatching(message) });
  });

  test('its result is the worst of its checks, the caller\'s own among them', () => {
    const extra = (result: PlanResult): PlanCheck => ({ name: 'space', result, expected: null, found: null, message: 'm' });
    expect(planDeployment(ask({ extra: [extra('warn')] })).result).toBe('warn');
    expect(planDeployment(ask({ extra: [extra('fail'), extra('pass')] })).result).toBe('fail');
    expect(planDeployment(ask({ extra: [extra('pass')] })).checks.at(-1)?.name).toBe('space');
  });

  test('a deploy interface that writes nothing has no target and nothing to compare', () => {
    expect(planDeployment(ask({ image: null, inventory: null, recordedDisk: null }))).toMatchObject({ result: 'pass', target_disk: null, checks: [], image: { source: 'none' } });
  });

  test('a target that can not be told stays untold', () => {
    expect(planDeployment(ask({ inventory: twoDisks, recordedDisk: null })).target_disk).toBeNull();
  });

  test('every check that does not pass says in a sentence what to do or what follows', () => {
    for (const [, name, result, , question] of CASES) {
      if (result !== 'pass') expect(checkOf(ask(question), name)?.message).toMatch(/^[A-Z].{20,}/);
    }
  });
});
