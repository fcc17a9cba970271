import { describe, expect, test } from '@jest/globals';
import { chooseLoaders } from '../../../ramdisk-agent/deploy/esp-loader.ts';
import { renameHost } from '../../../ramdisk-agent/deploy/generalize/identity-files.ts';
import { ensureSuitable } from '../../../ramdisk-agent/deploy/image-head.ts';

describe('the boot loader on an EFI system partition', () => {
  test.each([
    ['the shim of a vendor', ['::/EFI/BOOT/BOOTX64.EFI', '::/EFI/debian/', '::/EFI/debian/grubx64.efi', '::/EFI/debian/shimx64.efi'], { preferred: '\\EFI\\debian\\shimx64.efi', hasFallback: true }],
    ["a vendor's grub without a shim", ['::/EFI/arch/grubx64.efi'], { preferred: '\\EFI\\arch\\grubx64.efi', hasFallback: false }],
    ['systemd-boot', ['::/EFI/systemd/systemd-bootx64.efi', '::/EFI/Linux/arch.efi'], { preferred: '\\EFI\\systemd\\systemd-bootx64.efi', hasFallback: false }],
    ['the fallback alone, in whatever case', ['::/EFI/Boot/bootx64.efi', '::/EFI/Boot/grubx64.efi'], { preferred: '\\EFI\\Boot\\bootx64.efi', hasFallback: true }],
    ['none for another architecture', ['::/EFI/debian/shimaa64.efi', '::/EFI/BOOT/BOOTAA64.EFI'], { preferred: null, hasFallback: false }],
    ['none', [''], { preferred: null, hasFallback: false }],
  ])('is %s', (_what, listed, expected) => {
    expect(chooseLoaders(listed, 'x64')).toEqual(expected);
  });

  test('is that of the machine', () => {
    expect(chooseLoaders(['::/EFI/debian/shimx64.efi', '::/EFI/debian/shimaa64.efi'], 'arm64')).toEqual({ preferred: '\\EFI\\debian\\shimaa64.efi', hasFallback: false });
  });
});

describe("a host's name in hosts(5)", () => {
  test.each([
    ['127.0.1.1 old\n', 'old', 'new', '127.0.1.1 new\n'],
    ['127.0.1.1\told.example  old\t# old\n', 'old', 'new', '127.0.1.1\tnew.example  new\t# old\n'],
    ['127.0.1.1 old.example old\n', 'old.example', 'new.lab', '127.0.1.1 new.lab new\n'],
    ['127.0.1.1 old.example old\n', 'old', 'new.lab', '127.0.1.1 new.lab new\n'],
    ['127.0.1.1 old\n', 'old', 'new.lab', '127.0.1.1 new.lab\n'],
    ['192.0.2.1 older bold\n', 'old', 'new', '192.0.2.1 older bold\n'],
    ['# 127.0.1.1 old\n\n', 'old', 'new', '# 127.0.1.1 old\n\n'],
    ['127.0.0.1 localhost localhost.localdomain\n', 'localhost', 'new', '127.0.0.1 localhost localhost.localdomain\n'],
    ['::1 old ip6-loopback', 'old', 'new', '::1 new ip6-loopback'],
  ])('%j: %s becomes %s', (hosts, oldName, newName, expected) => {
    expect(renameHost(hosts, oldName, newName)).toBe(expected);
  });
});

describe('the first MiB of an image', () => {
  const withGpt = (sectorBytes: number, efi: boolean): Buffer => {
    const head = Buffer.alloc(64 * 1024);
    head.write('EFI PART', sectorBytes, 'latin1');
    if (efi) Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex').copy(head, 2 * sectorBytes);
    return head;
  };
  const withMbr = (type: number): Buffer => {
    const head = Buffer.alloc(64 * 1024);
    head[462 + 4] = type;
    return head;
  };
  test.each([
    ['a GPT for its sectors', withGpt(512, false), { sectorSizeBytes: 512, bootMode: 'bios' }],
    ['a GPT for its large sectors', withGpt(4096, true), { sectorSizeBytes: 4096, bootMode: 'uefi' }],
    ['a DOS table with an EFI system partition', withMbr(0xef), { sectorSizeBytes: 512, bootMode: 'uefi' }],
    ['no table', Buffer.alloc(512), { sectorSizeBytes: 4096, bootMode: 'bios' }],
  ] as const)('with %s suits the machine', (_what, head, machine) => {
    expect(() => ensureSuitable(head, machine)).not.toThrow();
  });
  test.each([
    ['a GPT for smaller sectors', withGpt(512, true), { sectorSizeBytes: 4096, bootMode: 'uefi' }, 'for sectors of 512 bytes, the disk has sectors of 4096'],
    ['a GPT for larger sectors', withGpt(4096, true), { sectorSizeBytes: 512, bootMode: 'bios' }, 'for sectors of 4096 bytes, the disk has sectors of 512'],
    ['no EFI system partition for UEFI', withGpt(512, false), { sectorSizeBytes: 512, bootMode: 'uefi' }, 'no EFI system partition'],
    ['a DOS table without one', withMbr(0x83), { sectorSizeBytes: 512, bootMode: 'uefi' }, 'no EFI system partition'],
    ['nothing at all, for UEFI', Buffer.alloc(100), { sectorSizeBytes: 512, bootMode: 'uefi' }, 'no EFI system partition'],
  ] as const)('with %s is refused', (_what, head, machine, reason) => {
    expect(() => ensureSuitable(head, machine)).toThrow(reason);
  });
});
