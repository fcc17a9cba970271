import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { findLocalAddress } from './advertised-address.ts';
import { AGENT_VERSION } from './agent-version.ts';
import { defaultCacheSizeBytes } from './capture/cache-file-system.ts';
import { CaptureWorkspace } from './capture/workspace.ts';
import { provideCertificate } from './certificate.ts';
import { CommandJournal } from './commands/command-journal.ts';
import { CommandQueue } from './commands/command-queue.ts';
import { CommandServer } from './commands/command-server.ts';
import { ConductorApi } from './conductor-api.ts';
import type { AgentConfig } from './config.ts';
import { DeployWorkspace } from './deploy/deploy-workspace.ts';
import type { BlockDevices } from './devices/block-device.ts';
import { createExtensions } from './extensions/registry.ts';
import type { Hardware } from './hardware/hardware.ts';
import { Heartbeat } from './heartbeat.ts';
import { registerAtConductor } from './lookup.ts';
import { RunDirectory } from './run-directory.ts';

const PORT_FILE = 'port';

/** What the agent works on. */
export interface Machine {
  devices: BlockDevices;
  hardware: Hardware;
}

/**
 * Runs the agent until `stopped` is aborted; then a running command is stopped and everything is released.
 * 1. remove what an earlier life left  2. serve the commands API  3. look up this machine's node  4. heartbeat.
 * @throws MetalshotError when it cannot work at all; everything is released then as well.
 */
export async function runAgent(config: AgentConfig, { devices, hardware }: Machine, log: Logger, stopped: AbortSignal): Promise<void> {
  const runDirectory = new RunDirectory(config.run_directory);
  const workspace = new CaptureWorkspace(runDirectory);
  const deployWorkspace = new DeployWorkspace(runDirectory);
  const leftovers = [...(await workspace.clear()), ...(await recoverDisks(deployWorkspace, devices, log))];
  if (leftovers.length > 0) log.warn({ leftovers }, 'removed what an earlier agent had left');

  const host = config.advertise_host ?? (await findLocalAddress(config.api_url));
  const certificate = await provideCertificate(runDirectory, host);
  let agentToken: string | null = null;
  let heartbeat: Heartbeat | undefined;
  const extensions = createExtensions({ devices, hardware, workspace, deployWorkspace, cacheSizeBytes: () => config.cache_size_bytes ?? defaultCacheSizeBytes() });
  const queue = new CommandQueue(extensions, new CommandJournal(runDirectory), log, () => heartbeat?.force());
  const server = new CommandServer({ queue, certificate, token: () => agentToken, log });
  const port = await listen(server, config, runDirectory, log);
  try {
    const callbackUrl = `https://${isIPv6(host) ? `[${host}]` : host}:${config.advertise_port ?? port}`;
    log.info({ callbackUrl, listenPort: port, version: AGENT_VERSION }, 'agent is listening');
    const api = new ConductorApi({ url: config.api_url, ca: config.ca_file === undefined ? undefined : readFileSync(config.ca_file, 'utf8'), insecure: config.insecure });
    const registration = await registerAtConductor({
      api,
      runDirectory,
      addresses: config.addresses,
      nodeUuid: config.node_uuid,
      bootToken: config.agent_token,
      timeoutMs: config.lookup_timeout_s * 1_000,
      signal: stopped,
      log,
    });
    const { nodeUuid, heartbeatTimeoutS } = registration;
    agentToken = registration.agentToken;
    log.info({ node: nodeUuid, heartbeatTimeoutS }, 'lookup succeeded');
    const facts = { callbackUrl, agentVersion: AGENT_VERSION, agentToken, certificate: certificate.certificate };
    heartbeat = new Heartbeat({ timeoutS: heartbeatTimeoutS, log, send: (signal) => api.heartbeat(nodeUuid, facts, signal) });
    heartbeat.start();
    await untilAborted(stopped);
  } finally {
    await heartbeat?.stop();
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
