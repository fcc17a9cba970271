import type { DhcpConfig } from '../config-boot.ts';

/** Paths of a dnsmasq that we run ourselves, all below one directory. */
export interface DhcpFiles {
  leases: string;
  tftpRoot: string;
  /** A MAC address in each line: the machines of which a port is known. */
  knownMachines: string;
  pidFile: string;
}

/**
 * The part of a dnsmasq configuration that makes machines boot from us, whoever gives them their address:
 * - iPXE (it sends option 175; QEMU's network card is one) goes straight to its script over HTTP;
 * - a PXE ROM of BIOS (client-arch 0) or UEFI (7, and 9 as some say it) fetches the iPXE of its kind by TFTP;
 * - UEFI that boots by HTTP (client-arch 16) fetches it by HTTP, and takes an answer only with HTTPClient in option 60.
 */
export function bootLines(baseUrl: string, mode: DhcpConfig['mode']): string[] {
  return [
    'dhcp-match=set:ipxe,175',
    'dhcp-match=set:bios,option:client-arch,0',
    'dhcp-match=set:efi,option:client-arch,7',
    'dhcp-match=set:efi,option:client-arch,9',
    'dhcp-match=set:efihttp,option:client-arch,16',
    `dhcp-boot=tag:ipxe,${baseUrl}/boot.ipxe`,
    ...(mode === 'proxy'
      ? ['pxe-service=tag:!ipxe,X86PC,"Metalshot",undionly.kpxe', 'pxe-service=tag:!ipxe,X86-64_EFI,"Metalshot",snponly.efi', 'pxe-service=tag:!ipxe,BC_EFI,"Metalshot",snponly.efi']
      : ['dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe', 'dhcp-boot=tag:!ipxe,tag:efi,snponly.efi']),
    'dhcp-option-force=tag:!ipxe,tag:efihttp,60,HTTPClient',
    `dhcp-boot=tag:!ipxe,tag:efihttp,${baseUrl}/snponly.efi`,
  ];
}

/**
 * The whole configuration of a dnsmasq that serves one interface and does nothing but DHCP and TFTP. It stays who it is
 * started as: what it reads lies in the conductor's own directory, into which nobody else may look.
 * @param ipv6 whether the interface has an IPv6 prefix. iPXE of UEFI waits long for a router to tell it one; it is told,
 *   by a router that is none (lifetime 0).
 */
export function dhcpConfigText(config: DhcpConfig, baseUrl: string, files: DhcpFiles, { ipv6 = false } = {}): string {
  const lines = [
    'port=0',
    `interface=${config.interface}`,
    'except-interface=lo',
    'bind-interfaces',
    'no-resolv',
    'no-hosts',
    'user=root',
    'group=root',
    'log-facility=-',
    `pid-file=${files.pidFile}`,
    `dhcp-leasefile=${files.leases}`,
    'enable-tftp',
    `tftp-root=${files.tftpRoot}`,
    ...rangeLines(config),
    ...(ipv6 && config.mode === 'server' ? ['enable-ra', `ra-param=${config.interface},0,0`, `dhcp-range=::,constructor:${config.interface},ra-only`] : []),
    ...(config.known_only ? [`dhcp-hostsfile=${files.knownMachines}`, 'dhcp-ignore=tag:!known'] : []),
    ...bootLines(baseUrl, config.mode),
  ];
  return `${lines.join('\n')}\n`;
}

function rangeLines({ mode, range: [first, last], netmask, router, dns_servers: dnsServers, lease_s: leaseS }: DhcpConfig): string[] {
  const mask = netmask === undefined ? [] : [netmask];
  if (mode === 'proxy') return [`dhcp-range=${[first, 'proxy', ...mask].join(',')}`];
  return [
    `dhcp-range=${[first, last, ...mask, `${leaseS}s`].join(',')}`,
    'dhcp-authoritative',
    `dhcp-option=${['option:router', ...(router === undefined ? [] : [router])].join(',')}`, // without a value: none is given
    `dhcp-option=${['option:dns-server', ...dnsServers].join(',')}`,
  ];
}

/** For a dnsmasq that runs already and gives out addresses: what has to be added to its configuration. */
export function existingDhcpText(mode: DhcpConfig['mode'], baseUrl: string, ramdiskDirectory: string): string {
  const lines = [
    '# For the dnsmasq of the network in which machines boot, for example as /etc/dnsmasq.d/metalshot.conf.',
    ...(mode === 'proxy' ? ['# It answers beside another DHCP server; the network is to be named here:', '#dhcp-range=192.0.2.0,proxy'] : []),
    ...bootLines(baseUrl, mode),
    '',
    '# PXE ROMs fetch iPXE by TFTP. Without a TFTP server of your own, which serves undionly.kpxe and snponly.efi:',
    '#enable-tftp',
    `#tftp-root=${ramdiskDirectory}`,
  ];
  return `${lines.join('\n')}\n`;
}
