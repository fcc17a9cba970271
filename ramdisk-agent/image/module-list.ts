import type { Variant } from './package-list.ts';

/** Kernel modules of the ramdisk: paths below `kernel/` of which all that begin so are taken, and names. What they depend on is found. */
interface ModuleList {
  paths: readonly string[];
  names: readonly string[];
}

/** In both kernels, as modules or built in. */
const EVERYWHERE: ModuleList = {
  paths: ['drivers/nvme/host/', 'fs/ext4/', 'fs/xfs/', 'fs/btrfs/', 'fs/fat/', 'fs/fuse/fuse.', 'fs/isofs/', 'fs/efivarfs/', 'fs/nls/', 'drivers/virtio/virtio', 'drivers/scsi/sd_mod', 'drivers/scsi/sr_mod'],
  names: [
    ...['virtio_blk', 'virtio_scsi', 'virtio_net', 'virtio_rng', 'loop', 'af_packet', '8021q', 'dm-mod', 'md-mod', 'raid0', 'raid1', 'raid10', 'raid456'],
    ...['softdog', 'button', 'evdev', 'crc32c_generic', 'crc32c-intel', 'sha256_generic', 'xxhash_generic', 'blake2b_generic', 'ena', 'hv_netvsc', 'hv_storvsc'],
  ],
};

/** Drivers of servers: not in the cloud kernel, of which what there is is taken. */
const SERVERS: ModuleList = {
  paths: [
    ...['drivers/ata/ahci', 'drivers/ata/libahci', 'drivers/ata/sata_', 'drivers/ata/ata_'],
    ...['megaraid/', 'mpt3sas/', 'mpi3mr/', 'smartpqi/', 'aacraid/', 'isci/', 'mvsas/', 'pm8001/', 'arcmsr/', 'qla2xxx/', 'lpfc/', 'bnx2fc/', 'be2iscsi/'].map((path) => `drivers/scsi/${path}`),
    ...['intel/', 'broadcom/', 'mellanox/', 'emulex/', 'chelsio/', 'qlogic/', 'sfc/', 'cisco/', 'amazon/', 'aquantia/', 'realtek/', 'marvell/', 'huawei/', 'amd/', 'netronome/', 'microsoft/'].map((path) => `drivers/net/ethernet/${path}`),
    ...['drivers/usb/host/xhci', 'drivers/usb/host/ehci', 'drivers/usb/host/uhci', 'drivers/usb/host/ohci', 'drivers/usb/storage/', 'drivers/message/fusion/', 'drivers/char/ipmi/ipmi_'],
  ],
  names: [
    ...['vmd', 'hpsa', 'megaraid_sas', 'mpt3sas', 'mpi3mr', 'smartpqi', 'ahci', 'vmw_pvscsi', 'vmxnet3', 'xen-blkfront', 'xen-netfront', 'ses', 'enclosure', 'scsi_transport_sas'],
    ...['e1000', 'e1000e', 'igb', 'igc', 'ixgbe', 'i40e', 'ice', 'mlx4_en', 'mlx5_core', 'bnxt_en', 'bnx2', 'bnx2x', 'tg3', 'be2net', 'qede', 'r8169', '8139cp'],
    ...['usb-storage', 'uas', 'xhci-pci', 'ehci-pci', 'hid-generic', 'usbhid', 'i8042', 'atkbd', 'cdc_ether', 'cdc_subset', 'rndis_host', 'ax88179_178a', 'r8152'],
    ...['i6300esb', 'iTCO_wdt', 'i2c-i801', 'lpc_ich', 'sp5100_tco', 'ipmi_watchdog', 'ipmi_si', 'hpwdt', 'wdat_wdt'],
    ...['dm-crypt', 'dm-raid', 'dm-thin-pool', 'dm-snapshot', 'dm-mirror', 'bonding', 'crct10dif-pclmul', 'xen-pcifront'],
  ],
};

/** `required`: the build fails without them. `wanted`: taken where the kernel has them. */
export const MODULES: Readonly<Record<Variant, { required: ModuleList; wanted: ModuleList }>> = {
  generic: { required: { paths: [...EVERYWHERE.paths, ...SERVERS.paths], names: [...EVERYWHERE.names, ...SERVERS.names] }, wanted: { paths: [], names: [] } },
  cloud: { required: EVERYWHERE, wanted: SERVERS },
};
