import { isIPv6 } from 'node:net';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { findLocalAddress } from './advertised-address.ts';
import { AGENT_VERSION } from './agent-version.ts';
import { BootMemory, identifyBoot } from './boot-memory.ts';
import { defaultCacheSizeBytes } from './capture/cache-file-system.ts';
import { CaptureWorkspace } from './capture/workspace.ts';
import { provideCertificate } from './certificate.ts';
import { CommandJournal } from './commands/command-journal.ts';
import { CommandQueue } from './commands/command-queue.ts';
import { CommandServer } from './commands/command-server.ts';
import { ConductorContact } from './conductor-contact.ts';
import type { AgentConfig } from './config.ts';
import type { DeadMan } from './dead-man.ts';
import { DeployWorkspace } from './deploy/deploy-workspace.ts';
import type { BlockDevices } from './devices/block-device.ts';
import { createExtensions } from './extensions/registry.ts';
import { BootOrderKeeper } from './hardware/boot-order.ts';
import { armDeadMan } from './leaving.ts';
import type { Machine } from './machine.ts';
import { RunDirectory } from './run-directory.ts';
import type { Watchdog } from './watchdog.ts';

const PORT_FILE = 'port';

/**
 * Runs the agent until `stopped` is aborted; then a running command is stopped and everything is released.
 * 1. dead-man timer and watchdog  2. remove what an earlier life left  3. serve the commands API  4. look up this machine's
 * node, unless an earlier agent of this boot has  5. heartbeat.
 * @throws MetalshotError when it cannot work at all; everything is released then as well.
 */
export async function runAgent(config: AgentConfig, machine: Machine, log: Logger, stopped: AbortSignal): Promise<void> {
  const runDirectory = new RunDirectory(config.run_directory);
  const memory = new BootMemory(runDirectory, identifyBoot(config.boot_nonce));
  let queue: CommandQueue | undefined;
  let watchdog: Watchdog | null = null;
  const deadMan = armDeadMan({ machine, memory, log, watchdog: () => watchdog, queue: () => queue });
  try {
    watchdog = await machine.openWatchdog();
    await serve({ config, machine, runDirectory, memory, deadMan, log, stopped, onQueue: (made) => (queue = made) });
  } finally {
    deadMan?.stop();
    watchdog?.close();
  }
}

interface ServiceParts {
  config: AgentConfig;
  machine: Machine;
  runDirectory: RunDirectory;
  memory: BootMemory;
  deadMan: DeadMan | null;
  log: Logger;
  stopped: AbortSignal;
  onQueue(queue: CommandQueue): void;
}

async function serve({ config, machine, runDirectory, memory, deadMan, log, stopped, onQueue }: ServiceParts): Promise<void> {
  const { devices, hardware } = machine;
  const workspace = new CaptureWorkspace(runDirectory);
  const deployWorkspace = new DeployWorkspace(runDirectory);
  const leftovers = [...(await workspace.clear()), ...(await recoverDisks(deployWorkspace, devices, log))];
  if (leftovers.length > 0) log.warn({ leftovers }, 'removed what an earlier agent had left');
  const journal = new CommandJournal(runDirectory);
  const bootOrder = await BootOrderKeeper.start(hardware, memory, log);
  if (journal.lost.some((name) => name.startsWith('snapshot.'))) await bootOrder?.restore();

  const host = config.advertise_host ?? (await findLocalAddress(config.api_url));
  const certificate = await provideCertificate(runDirectory, host);
  const contact = new ConductorContact({ config, memory, deadMan, silenceTimeoutS: machine.deadMan?.limits.conductor_silence_timeout_s ?? null, log });
  const secrets = (): string[] => [config.boot_nonce, config.agent_token, contact.token].filter((secret) => typeof secret === 'string');
  const extensions = createExtensions({ devices, hardware, workspace, deployWorkspace, bootOrder, logs: { sources: machine.logSources, secrets }, cacheSizeBytes: () => config.cache_size_bytes ?? defaultCacheSizeBytes() });
  const queue = new CommandQueue(extensions, journal, log, () => contact.force());
  onQueue(queue);
  const server = new CommandServer({ queue, certificate, token: () => contact.token, log });
  const port = await listen(server, config, runDirectory, log);
  try {
    const callbackUrl = `https://${isIPv6(host) ? `[${host}]` : host}:${config.advertise_port ?? port}`;
    log.info({ callbackUrl, listenPort: port, version: AGENT_VERSION }, 'agent is listening');
    await contact.start({ callbackUrl, certificate: certificate.certificate }, stopped);
    await untilAborted(stopped);
  } finally {
    await contact.stop();
    await queue.stopAll('the command was stopped because the agent is shutting down');
    await server.close();
  }
}

/** An agent that cannot wipe a disk has to be there to tell: its commands for that disk are refused until it can. */
async function recoverDisks(deployWorkspace: DeployWorkspace, devices: BlockDevices, log: Logger): Promise<string[]> {
  try {
    const { found, problems } = await deployWorkspace.recover(devices);
    if (problems.length > 0) log.error({ problems }, 'disks that an earlier agent was writing are not wiped: tried again by the next command for them');
    return found;
  } catch (error) {
    log.error({ err: error }, 'what an earlier deployment has left cannot be looked at or removed: tried again by the next deployment');
    return [];
  }
}

/** With port 0 a restarted agent tries the port it had, because the conductor refuses a changed callback address. */
async function listen(server: CommandServer, config: AgentConfig, runDirectory: RunDirectory, log: Logger): Promise<number> {
  const earlierPort = config.listen_port === 0 ? Number(runDirectory.read(PORT_FILE) ?? 0) : 0;
  const port = await server.listen(config.listen_host, earlierPort || config.listen_port).catch((error: unknown) => {
    if (earlierPort === 0) throw error;
    log.warn({ port: earlierPort, problem: messageOf(error) }, 'the port of the earlier agent is taken, listening on another');
    return server.listen(config.listen_host, 0);
  });
  runDirectory.write(PORT_FILE, String(port));
  return port;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
