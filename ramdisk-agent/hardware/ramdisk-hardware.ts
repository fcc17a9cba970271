import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Inventory } from '../../protocol/inventory.ts';
import { findControllerDriver } from '../devices/device-driver.ts';
import { ensureRamdisk } from '../devices/ramdisk-devices.ts';
import { EfiBootManager } from './boot-entries.ts';
import type { Hardware } from './hardware.ts';

/** The machine that the ramdisk runs on, from sysfs and procfs. */
export class RamdiskHardware implements Hardware {
  readonly bootEntries = new EfiBootManager();

  /** @throws ForbiddenError outside the ramdisk. */
  facts(): Promise<Omit<Inventory, 'disks'>> {
    ensureRamdisk();
    return Promise.resolve(readHardware());
  }
}

/** Kernel names of architectures by those of Node. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ppc64: 'ppc64le', riscv64: 'riscv64', s390x: 's390x' };
/** Hardware type of Ethernet in <linux/if_arp.h>. */
const ETHERNET = '1';

/** What sysfs(5) and proc(5) say; @param sys and @param proc where these are mounted. */
export function readHardware(sys = '/sys', proc = '/proc'): Omit<Inventory, 'disks'> {
  const dmi = (name: string): string | null => readText(join(sys, 'class/dmi/id', name));
  const memoryKib = /^MemTotal:\s+(\d+) kB$/m.exec(readText(join(proc, 'meminfo')) ?? '')?.[1];
  return {
    interfaces: readInterfaces(join(sys, 'class/net')),
    cpu: { architecture: ARCHITECTURES[process.arch] ?? process.arch, count: cpus().length, model_name: cpus()[0]?.model.trim() || null },
    memory: { total: Number(memoryKib ?? 0) * 1024 },
    system_vendor: { manufacturer: dmi('sys_vendor'), product_name: dmi('product_name'), serial_number: dmi('product_serial') },
    boot: { current_boot_mode: existsSync(join(sys, 'firmware/efi')) ? 'uefi' : 'bios' },
  };
}

/** Ethernet interfaces that are hardware: bridges and tunnels have no device behind them. */
function readInterfaces(directory: string): Inventory['interfaces'] {
  return readdirSync(directory)
    .filter((name) => existsSync(join(directory, name, 'device')) && readText(join(directory, name, 'type')) === ETHERNET)
    .map((name) => ({ name, mac_address: readText(join(directory, name, 'address')) ?? '', driver: findControllerDriver(join(directory, name)) }));
}

const readText = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8').trim() || null : null);
