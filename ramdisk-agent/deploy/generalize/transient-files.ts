import type { GeneralizedItem } from '../../../protocol/deploy-commands.ts';
import type { GuestTree } from './guest-tree.ts';

interface TransientFiles {
  item: string;
  directory: string;
  names: RegExp;
  note: string;
}

const LEASE_NOTE = 'two machines must not ask for the same address';
/** What belongs to the one machine that it was made on, and comes back by itself. */
const TRANSIENT_FILES: readonly TransientFiles[] = [
  { item: 'random seed', directory: 'var/lib/systemd', names: /^random-seed$/, note: 'two machines must not begin with the same randomness' },
  { item: 'names of network interfaces', directory: 'etc/udev/rules.d', names: /^70-persistent-net\.rules$/, note: 'it names the network cards of the origin' },
  { item: 'DHCP leases', directory: 'var/lib/dhcp', names: /\.leases?$/, note: LEASE_NOTE },
  { item: 'DHCP leases', directory: 'var/lib/dhclient', names: /\.leases?$/, note: LEASE_NOTE },
  { item: 'DHCP leases', directory: 'var/lib/dhcpcd', names: /\.lease6?$|^duid$|^secret$/, note: LEASE_NOTE },
  { item: 'DHCP leases', directory: 'var/lib/NetworkManager', names: /\.lease$|^secret_key$/, note: LEASE_NOTE },
];

/** One item for each file that was removed, and for each kind of which there was none. */
export async function removeTransientFiles(tree: GuestTree): Promise<GeneralizedItem[]> {
  const items: GeneralizedItem[] = [];
  for (const { item, directory, names, note } of TRANSIENT_FILES) {
    for (const name of (await tree.list(directory)).filter((each) => names.test(each))) {
      const path = `${directory}/${name}`;
      if ((await tree.look(path))?.isDirectory()) continue;
      await tree.remove(path);
      items.push({ item, where: `/${path} on ${tree.place}`, outcome: 'removed', note });
    }
  }
  const absent = [...new Set(TRANSIENT_FILES.map(({ item }) => item))].filter((item) => !items.some((each) => each.item === item));
  return [...items, ...absent.map((item): GeneralizedItem => ({ item, where: tree.place, outcome: 'kept', note: 'there is none' }))];
}
