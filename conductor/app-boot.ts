import { join, resolve } from 'node:path';
import { InvalidParameterError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import type { BootConfig } from './config-boot.ts';
import type { Config } from './config.ts';
import type { Database } from './db/database.ts';
import { Listener } from './listener.ts';
import { createBootFiles, type ServedBootFiles } from './netboot/boot-files.ts';
import { existingDhcpText } from './netboot/dhcp-config.ts';
import { DhcpServer } from './netboot/dhcp-server.ts';
import type { BootLedger } from './netboot/script-of-machine.ts';

/** A boot loader that says nothing for so long has gone, or was never one. */
const IDLE_TIMEOUT_MS = 60_000;
/** Each machine holds one or two. */
const MOST_CONNECTIONS = 512;

export interface BootService {
  files: ServedBootFiles;
  listener: Listener;
  dhcp: DhcpServer | null;
  /** Makes it answer, and gives out addresses; once recovery has every node in hand. */
  serve(): Promise<void>;
}

/** What is there before the database is: addresses and programs, so that what is wrong is known before anything is touched. */
export interface BootPlace {
  config: BootConfig;
  listener: Listener;
  baseUrl: string;
  /** Ours, for ISOs and DHCP. */
  directory: string;
  ramdiskDirectory: string;
}

/** Binds the listener of boot files; null without a section `boot`. @throws InvalidParameterError */
export async function bindBoot({ boot, state_directory: stateDirectory }: Config, closers: (() => Promise<void>)[]): Promise<BootPlace | null> {
  if (!boot) return null;
  const listener = await Listener.bind({ name: 'boot', host: boot.host, port: boot.port, tls: null, limits: { connections: MOST_CONNECTIONS, idleTimeoutMs: IDLE_TIMEOUT_MS } });
  closers.push(() => listener.close());
  return { config: boot, listener, baseUrl: originOf(boot.advertise_url ?? listener.url), directory: join(stateDirectory, 'boot'), ramdiskDirectory: ramdiskDirectoryOf(boot, stateDirectory) };
}

export interface BootServiceParts {
  db: Database;
  /** The provisioning listener as machines reach it, and what its certificate is checked against. */
  provisioning: { url: string; certificate: string | undefined };
  log: Logger;
  closers: (() => Promise<void>)[];
}

/** @throws InvalidParameterError naming the configuration key. */
export async function createBootService({ config, listener, baseUrl, directory, ramdiskDirectory }: BootPlace, { db, provisioning, log, closers }: BootServiceParts): Promise<BootService> {
  const files = createBootFiles({
    ramdiskDirectory,
    isoDirectory: join(directory, 'isos'),
    baseUrl,
    isoBaseUrl: originOf(config.iso_advertise_url ?? baseUrl),
    apiUrl: originOf(provisioning.url),
    certificate: provisioning.certificate,
    ramdisk: { conductor_silence_timeout_s: config.conductor_silence_timeout_s, idle_timeout_s: config.idle_timeout_s, watchdog_timeout_s: config.watchdog_timeout_s },
    kernelParameters: config.kernel_parameters,
    ledger: ledgerOf(db),
    log,
  });
  closers.push(() => files.close());
  const knownAddresses = async (): Promise<string[]> => (await db.ports.list({ columns: ['address'] })).map(({ address }) => address);
  const dhcp = config.dhcp ? await DhcpServer.prepare({ config: config.dhcp, baseUrl, directory: join(directory, 'dhcp'), ramdiskDirectory, knownAddresses, log }) : null;
  if (dhcp) closers.push(() => dhcp.close());
  await files.removeOrphans((await db.nodes.list({ columns: ['uuid', 'ramdiskBoot'] })).filter(({ ramdiskBoot }) => ramdiskBoot !== null).map(({ uuid }) => uuid));
  return {
    files,
    listener,
    dhcp,
    async serve() {
      listener.serve(files.handler);
      await dhcp?.start();
    },
  };
}

/** What an administrator gives to a dnsmasq of their own: `--print-dhcp-config`. @throws InvalidParameterError without a section `boot`. */
export function shownDhcpConfig({ boot, state_directory: stateDirectory }: Config): string {
  if (!boot) throw new InvalidParameterError('boot: there is no such section in the configuration, so no machine boots from this conductor; see docs/configuration.md');
  const host = boot.host.includes(':') ? `[${boot.host}]` : boot.host;
  const baseUrl = originOf(boot.advertise_url ?? `http://${host}:${boot.port}`);
  return existingDhcpText(boot.dhcp?.mode ?? 'server', baseUrl, ramdiskDirectoryOf(boot, stateDirectory));
}

const ramdiskDirectoryOf = (boot: BootConfig, stateDirectory: string): string => resolve(boot.ramdisk_directory ?? join(stateDirectory, 'ramdisk'));

const ledgerOf = (db: Database): BootLedger => ({
  async machineOf(address) {
    const [node] = await db.nodes.findByAddresses([address]);
    return node ? { node, ports: await db.ports.ofNode(node.id) } : null;
  },
  claim: (nodeId, bootNonceHash) => db.nodes.claimRamdiskBoot(nodeId, bootNonceHash),
  noteLeft: (nodeId) => db.nodes.noteRamdiskLeft(nodeId),
});

/** Without the slash at the end that a URL has by itself. */
const originOf = (url: string): string => new URL(url).origin;
