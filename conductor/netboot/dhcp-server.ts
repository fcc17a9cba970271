import { spawn, type ChildProcess } from 'node:child_process';
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { runProgram, SYSTEM_PATH } from '../../protocol/program.ts';
import type { DhcpConfig } from '../config-boot.ts';
import { dhcpConfigText, type DhcpFiles } from './dhcp-config.ts';

export interface DhcpServerOptions {
  config: DhcpConfig;
  /** Of the boot files, as machines reach them. */
  baseUrl: string;
  /** Where configuration, leases and what TFTP serves are kept; an absolute path. */
  directory: string;
  /** Where the boot loaders are. */
  ramdiskDirectory: string;
  /** MAC addresses of all ports, for `known_only`. */
  knownAddresses(): Promise<string[]>;
  log: Logger;
}

const TFTP_LOADERS = ['undionly.kpxe', 'snponly.efi'];
const CHECK_TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** What it may do where the conductor is root: its ports, and packets to machines without an address. */
const CAPABILITIES = '-all,+net_admin,+net_raw,+net_bind_service,+setgid';
const ENVIRONMENT = { PATH: SYSTEM_PATH, LC_ALL: 'C' };

/** A dnsmasq of our own: it runs as long as we do, and is started again when it dies. */
export class DhcpServer {
  readonly #options: DhcpServerOptions;
  readonly #files: DhcpFiles;
  readonly #configFile: string;
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #known = '';
  #isClosed = false;

  private constructor(options: DhcpServerOptions) {
    const { directory } = options;
    this.#options = options;
    this.#files = { leases: join(directory, 'leases'), tftpRoot: join(directory, 'tftp'), knownMachines: join(directory, 'known-machines'), pidFile: join(directory, 'dnsmasq.pid') };
    this.#configFile = join(directory, 'dnsmasq.conf');
  }

  /**
   * Everything but the start, so that what is wrong is known before anything is touched.
   * @throws InvalidParameterError naming the configuration key.
   */
  static async prepare(options: DhcpServerOptions): Promise<DhcpServer> {
    const interfaceFacts = await readInterface(options.config.interface);
    const server = new DhcpServer(options);
    await mkdir(server.#files.tftpRoot, { recursive: true, mode: 0o700 });
    for (const name of TFTP_LOADERS) await copyLoader(join(options.ramdiskDirectory, name), join(server.#files.tftpRoot, name));
    await replaceFile(server.#configFile, dhcpConfigText(options.config, options.baseUrl, server.#files, interfaceFacts));
    await server.#writeKnown();
    await runProgram('dnsmasq', ['--test', `--conf-file=${server.#configFile}`], { timeoutMs: CHECK_TIMEOUT_MS, env: ENVIRONMENT }).catch((error: unknown) => {
      throw new InvalidParameterError(`boot.dhcp: ${messageOf(error)}`, {}, error);
    });
    return server;
  }

  /** @throws InvalidParameterError when dnsmasq does not come up (mostly: another DHCP server has the port). */
  async start(): Promise<void> {
    await this.#spawn();
  }

  /** Takes over which machines are known. */
  async refresh(): Promise<void> {
    if (await this.#writeKnown()) this.#child?.kill('SIGHUP');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  /** Resolves once it serves. */
  async #spawn(): Promise<void> {
    const { log } = this.#options;
    // the kernel ends it with us, however we end: the next conductor needs its ports
    const bounds = process.geteuid?.() === 0 ? ['--bounding-set', CAPABILITIES] : [];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--no-new-privs', ...bounds, 'dnsmasq', '--keep-in-foreground', `--conf-file=${this.#configFile}`], { stdio: ['ignore', 'pipe', 'pipe'], env: ENVIRONMENT });
    const startedAt = performance.now();
    let serves = false;
    const said: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
      const take = (line: string): void => {
        said.push(line);
        said.splice(0, said.length - 5);
        log[/ DHCP(DISCOVER|OFFER|REQUEST)\(/.test(line) ? 'debug' : 'info']({ dnsmasq: line.replace(/^(dnsmasq[a-z-]*)\[\d+\]/, '$1') }, 'dnsmasq');
        if (serves || !/: started, version /.test(line)) return;
        serves = true;
        clearTimeout(timer);
        this.#child = child;
        resolve();
      };
      for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', take);
      child.once('error', (error) => said.push(error.message)); // "close" follows
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        this.#child = null;
        const end = `dnsmasq ended (${signal ?? `exit code ${code}`})${said.length > 0 ? `: ${said.join(' / ')}` : ''}`;
        if (!serves) reject(new InvalidParameterError(`boot.dhcp: ${end}`));
        else if (!this.#isClosed) this.#restartLater(end, performance.now() - startedAt);
      });
    });
    if (this.#isClosed) child.kill('SIGTERM');
  }

  #restartLater(why: string, ranMs: number): void {
    if (ranMs > LONGEST_PAUSE_MS) this.#pauseMs = FIRST_PAUSE_MS;
    this.#options.log.error({ reason: why, retryInMs: this.#pauseMs }, 'dnsmasq died: machines get no address until it runs again');
    this.#restart = setTimeout(() => {
      this.#spawn().catch((error: unknown) => {
        if (!this.#isClosed) this.#restartLater(messageOf(error), 0);
      });
    }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  /** True: it changed. */
  async #writeKnown(): Promise<boolean> {
    const { config, knownAddresses } = this.#options;
    const known = config.known_only ? (await knownAddresses()).sort().map((address) => `${address}\n`).join('') : '';
    if (known === this.#known && known !== '') return false;
    await replaceFile(this.#files.knownMachines, known);
    const changed = known !== this.#known;
    this.#known = known;
    return changed;
  }
}

/** What `ip -json address show` tells of an interface; only what is read here. */
const addressesSchema = z.array(z.looseObject({ addr_info: z.array(z.looseObject({ family: z.string(), scope: z.string(), dynamic: z.boolean().optional() })).default([]) }));

/** @throws InvalidParameterError for one that is not there, or has no address to serve from. */
async function readInterface(name: string): Promise<{ ipv6: boolean }> {
  const { stdout } = await runProgram('ip', ['-json', 'address', 'show', 'dev', name], { timeoutMs: CHECK_TIMEOUT_MS, env: ENVIRONMENT }).catch((error: unknown) => {
    throw new InvalidParameterError(`boot.dhcp.interface: ${name} cannot be looked at (${messageOf(error)}); "ip link" lists the interfaces that there are`, {}, error);
  });
  const addresses = addressesSchema.parse(JSON.parse(stdout)).flatMap(({ addr_info: of }) => of);
  if (!addresses.some(({ family }) => family === 'inet')) throw new InvalidParameterError(`boot.dhcp.interface: ${name} has no IPv4 address, which a DHCP server needs: give it one in the provisioning network`);
  // a prefix that a router has told us is that router's to tell
  return { ipv6: addresses.some(({ family, scope, dynamic }) => family === 'inet6' && scope === 'global' && !dynamic) };
}

async function copyLoader(from: string, to: string): Promise<void> {
  await copyFile(from, `${to}.new`).catch((error: unknown) => {
    throw new InvalidParameterError(`boot.ramdisk_directory: ${messageOf(error)}; boot.dhcp needs it for machines that boot by TFTP: build the ramdisk with "npm run ramdisk"`, {}, error);
  });
  await rename(`${to}.new`, to);
}

async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
