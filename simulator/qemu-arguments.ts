import { serialOf, type DiskConfig } from './disk-config.ts';
import type { BootDeviceKind, VmConfig } from './vm-config.ts';

export interface QemuMachine {
  id: string;
  uuid: string;
  macs: readonly string[];
  disks: readonly DiskConfig[];
  vm: VmConfig;
  /** Name of the tap of each network card; empty: nothing is plugged in. */
  taps: readonly string[];
  /** What the firmware tries, first to last. */
  order: readonly (BootDeviceKind | 'cd')[];
  /** File in the CD drive. */
  cd: string | null;
  /** UEFI: the machine's own variables. */
  variablesFile: string;
  /** File descriptor on which QEMU speaks QMP. */
  qmpFd: number;
}

/**
 * QEMU's arguments for one boot. It stops at a reset instead of resetting by itself, waits for `cont` before it runs, and
 * has its serial port on standard input and output.
 */
export function qemuArguments(machine: QemuMachine): string[] {
  const { id, uuid, vm, qmpFd } = machine;
  const uefi = vm.firmware === 'uefi';
  return [
    ...['-name', `guest=${id}`, '-uuid', uuid],
    // Without a screen SeaBIOS shows on the serial port what it and boot loaders print.
    ...['-machine', uefi ? 'q35,accel=tcg,graphics=off,pflash0=firmware,pflash1=variables' : 'pc,accel=tcg,graphics=off'],
    ...['-cpu', vm.cpu_model, '-smp', String(vm.cpus), '-m', String(vm.memory_mb)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-S', '-boot', 'strict=on'],
    ...['-chardev', 'stdio,id=serial,signal=off', '-serial', 'chardev:serial'],
    ...['-chardev', `socket,id=qmp,fd=${qmpFd}`, '-mon', 'chardev=qmp,mode=control'],
    ...(uefi ? firmwareFiles(machine) : []),
    ...machine.disks.flatMap((disk, index) => diskArguments(machine, disk, index)),
    ...machine.macs.flatMap((mac, index) => networkArguments(machine, mac, index)),
    ...(machine.cd === null ? [] : cdArguments(machine, machine.cd)),
    ...(vm.watchdog ? ['-device', 'i6300esb', '-action', 'watchdog=reset'] : []),
  ];
}

// As JSON no path can be taken for an option.
const blockdev = (node: Record<string, unknown>): string[] => ['-blockdev', JSON.stringify(node)];
const device = (properties: Record<string, unknown>): string[] => ['-device', JSON.stringify(properties)];

const firmwareFiles = ({ vm, variablesFile }: QemuMachine): string[] => [
  ...blockdev({ driver: 'raw', 'node-name': 'firmware', 'read-only': true, file: { driver: 'file', filename: `${vm.firmware_directory}/OVMF_CODE_4M.fd` } }),
  ...blockdev({ driver: 'raw', 'node-name': 'variables', file: { driver: 'file', filename: variablesFile } }),
];

function diskArguments(machine: QemuMachine, disk: DiskConfig, index: number): string[] {
  const serial = serialOf(machine.id, disk, index);
  const size = { logical_block_size: disk.sector_size, physical_block_size: disk.sector_size };
  return [
    // A flush does not wait for the host's disk: what the guest has written survives QEMU's end, and only the host's would lose it.
    ...blockdev({ driver: 'raw', 'node-name': `disk${index}`, discard: 'unmap', file: { driver: 'file', filename: disk.path, discard: 'unmap', cache: { 'no-flush': true } } }),
    ...device({ driver: 'virtio-blk-pci', id: `disk-device${index}`, drive: `disk${index}`, ...size, ...(serial === null ? {} : { serial }), ...bootIndex(machine, 'disk', index) }),
  ];
}

function networkArguments(machine: QemuMachine, mac: string, index: number): string[] {
  const tap = machine.taps[index];
  return [
    ...(tap === undefined ? [] : ['-netdev', `tap,id=net${index},ifname=${tap},script=no,downscript=no`]),
    ...device({
      driver: 'virtio-net-pci',
      id: `network-device${index}`,
      mac,
      ...(tap === undefined ? {} : { netdev: `net${index}` }),
      ...(machine.vm.firmware === 'uefi' ? { romfile: '' } : {}), // the firmware's own PXE, not QEMU's iPXE
      ...bootIndex(machine, 'network', index),
    }),
  ];
}

const cdArguments = (machine: QemuMachine, path: string): string[] => [
  ...blockdev({ driver: 'raw', 'node-name': 'cd', 'read-only': true, file: { driver: 'file', filename: path } }),
  ...device({ driver: 'ide-cd', drive: 'cd', ...bootIndex(machine, 'cd', 0) }),
];

/** Position in the order in which the firmware tries devices: all of a kind before the next kind. Not in the order: never tried. */
function bootIndex({ order, disks, macs }: QemuMachine, kind: BootDeviceKind | 'cd', index: number): { bootindex?: number } {
  const counts = { disk: disks.length, network: macs.length, cd: 1 };
  const place = order.indexOf(kind);
  return place === -1 ? {} : { bootindex: order.slice(0, place).reduce((sum, before) => sum + counts[before], 0) + index };
}
