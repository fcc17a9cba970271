import { randomBytes } from 'node:crypto';
import type { GeneralizedItem } from '../../../protocol/deploy-commands.ts';
import type { GuestTree } from './guest-tree.ts';

const MACHINE_ID = 'etc/machine-id';
const DBUS_MACHINE_ID = 'var/lib/dbus/machine-id';
const HOSTNAME = 'etc/hostname';
const HOSTS = 'etc/hosts';

/** New machine-id (machine-id(5)), host name (hostname(5)), and the host's own lines of hosts(5). */
export async function changeIdentityFiles(tree: GuestTree, hostname: string): Promise<GeneralizedItem[]> {
  const machineId = randomBytes(16).toString('hex');
  return [await changeMachineId(tree, machineId), await changeDbusMachineId(tree, machineId), ...(await changeHostname(tree, hostname))];
}

async function changeMachineId(tree: GuestTree, machineId: string): Promise<GeneralizedItem> {
  const item = { item: 'machine-id', where: `/${MACHINE_ID} on ${tree.place}` };
  const text = await tree.read(MACHINE_ID);
  if (text !== null && ['', 'uninitialized'].includes(text.trim())) return { ...item, outcome: 'kept', note: 'it was not set: the system makes its own at its first boot' };
  await tree.write(MACHINE_ID, `${machineId}\n`, 0o444);
  return { ...item, outcome: 'changed', note: 'a new random one' };
}

async function changeDbusMachineId(tree: GuestTree, machineId: string): Promise<GeneralizedItem> {
  const item = { item: 'D-Bus machine-id', where: `/${DBUS_MACHINE_ID} on ${tree.place}` };
  if (!(await tree.isFile(DBUS_MACHINE_ID))) return { ...item, outcome: 'kept', note: (await tree.look(DBUS_MACHINE_ID)) ? 'it is no file of its own, but refers to another one' : 'there is none' };
  await tree.write(DBUS_MACHINE_ID, `${machineId}\n`, 0o444);
  return { ...item, outcome: 'changed', note: 'the same as the machine-id' };
}

async function changeHostname(tree: GuestTree, hostname: string): Promise<GeneralizedItem[]> {
  const oldName = (await tree.read(HOSTNAME))?.split('\n').map((line) => line.trim()).find((line) => line !== '' && !line.startsWith('#')) ?? null;
  await tree.write(HOSTNAME, `${hostname}\n`, 0o644);
  const became = `${oldName === null ? '' : Buffer.from(oldName, 'latin1').toString('utf8')} became ${hostname}`;
  const nameItem: GeneralizedItem = { item: 'host name', where: `/${HOSTNAME} on ${tree.place}`, outcome: 'changed', note: oldName === null ? `${hostname}; there was none` : became };
  const hosts = await tree.read(HOSTS);
  const renamed = hosts === null || oldName === null ? hosts : renameHost(hosts, oldName, hostname);
  const hostsItem = { item: 'host name', where: `/${HOSTS} on ${tree.place}` };
  if (renamed === null || renamed === hosts) return [nameItem, { ...hostsItem, outcome: 'kept', note: hosts === null ? 'there is no such file' : 'it does not name the host' }];
  await tree.write(HOSTS, renamed, 0o644);
  return [nameItem, { ...hostsItem, outcome: 'changed', note: became }];
}

/** Replaces a host's own names in the text of hosts(5): the plain name, and names of it in a domain. Addresses and comments stay. Only blanks and tabs part names: the text is bytes, of whatever encoding. */
export function renameHost(hosts: string, oldName: string, newName: string): string {
  const [oldHost = '', newHost = ''] = [oldName.split('.')[0], newName.split('.')[0]];
  if (oldHost === 'localhost' || oldHost === '') return hosts;
  const isInDomain = (name: string): boolean => name.startsWith(`${oldHost}.`);
  const rename = (name: string, lineHasDomain: boolean): string => {
    if (name === oldHost) return lineHasDomain ? newHost : newName;
    if (!isInDomain(name)) return name;
    return name === oldName || newName.includes('.') ? newName : `${newHost}${name.slice(oldHost.length)}`;
  };
  return hosts
    .split('\n')
    .map((line) => {
      const [names = '', comment = ''] = line.split(/(?=#)(.*)/s);
      const [, address = '', rest = ''] = /^([ \t]*[^ \t\r]+)(.*)$/s.exec(names) ?? [];
      const lineHasDomain = rest.split(/[ \t\r]+/).some(isInDomain);
      return address === '' ? line : `${address}${rest.replaceAll(/[^ \t\r]+/g, (name) => rename(name, lineHasDomain))}${comment}`;
    })
    .join('\n');
}
