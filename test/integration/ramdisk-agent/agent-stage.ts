import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { generate } from 'selfsigned';
import type { CommandReport, StreamImageProgress } from '../../../protocol/agent-api.ts';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { createLogger } from '../../../protocol/log.ts';
import { readMounts } from '../../../ramdisk-agent/capture/mounts.ts';
import { Share } from '../../../webdav/share.ts';
import { DIST } from '../../rig/dist.ts';
import { ProgramProcess } from '../../rig/program-process.ts';
import { until } from '../../rig/until.ts';
import { ConductorDouble } from '../../unit/ramdisk-agent/conductor-double.ts';
import { TcpRelay } from './tcp-relay.ts';

export interface StageOptions {
  device: string;
  cacheSizeBytes?: number;
  quotaBytes?: number;
  /** More of the agent's configuration. */
  agent?: Record<string, unknown>;
}

const GIB = 1024 ** 3;
const PASSWORD = 'a "secret" of \\ the share';

/**
 * A real agent process, a real share behind a network that can be held and cut, and a conductor's lookup and heartbeat.
 * Closed by the test, on every path.
 */
export class AgentStage {
  readonly snapshotUuid = randomUUID();
  readonly imageName = `${randomUUID()}.qcow2`;
  readonly password = PASSWORD;
  readonly directory: string;
  readonly runDirectory: string;
  readonly conductor: ConductorDouble;
  readonly share: Share;
  readonly relay: TcpRelay;
  agent: ProgramProcess;
  shareRequests = 0;
  readonly #shareServer: Server;
  readonly #url: string;
  readonly #ca: string;

  private constructor(parts: { directory: string; conductor: ConductorDouble; share: Share; shareServer: Server; relay: TcpRelay; url: string; ca: string }) {
    this.directory = parts.directory;
    this.runDirectory = join(parts.directory, 'run');
    this.conductor = parts.conductor;
    this.share = parts.share;
    this.relay = parts.relay;
    this.#shareServer = parts.shareServer;
    this.#shareServer.on('request', () => (this.shareRequests += 1));
    this.#url = parts.url;
    this.#ca = parts.ca;
    this.agent = this.#spawn();
  }

  static async start({ device, cacheSizeBytes = 5 * GIB, quotaBytes = GIB, agent = {} }: StageOptions): Promise<AgentStage> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-agent-'));
    const conductor = await ConductorDouble.start();
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'share' }], { keyType: 'ec', algorithm: 'sha256' });
    const app = express();
    const shareServer = createServer({ key, cert }, app);
    shareServer.listen(0, '127.0.0.1');
    await once(shareServer, 'listening');
    const relay = await TcpRelay.start((shareServer.address() as AddressInfo).port);
    const uuids: { own?: string } = {};
    const share = new Share({
      directory: join(directory, 'spool'),
      publicUrl: `https://127.0.0.1:${relay.port}/snapshots`,
      ca: cert,
      reserveBytes: 0,
      log: createLogger('share', 'silent'),
      credentials: { snapshotOf: (username, password) => Promise.resolve(username === 'agent' && password === PASSWORD ? (uuids.own ?? null) : null) },
    });
    app.use('/snapshots', share.handler);
    await writeFile(
      join(directory, 'agent.json'),
      JSON.stringify({ api_url: conductor.url, addresses: ['52:54:00:12:34:56'], devices: [device], run_directory: join(directory, 'run'), listen_host: '127.0.0.1', listen_port: 0, advertise_host: '127.0.0.1', cache_size_bytes: cacheSizeBytes, ...agent }),
    );
    const stage = new AgentStage({ directory, conductor, share, shareServer, relay, url: `https://127.0.0.1:${relay.port}/snapshots`, ca: cert });
    uuids.own = stage.snapshotUuid;
    await share.open(stage.snapshotUuid, quotaBytes);
    await stage.ready();
    return stage;
  }

  #spawn(): ProgramProcess {
    return new ProgramProcess('agent', join(DIST, 'ramdisk-agent/main.js'), ['--config', join(this.directory, 'agent.json')]);
  }

  /** After its death: the same agent again. */
  async restart(): Promise<void> {
    const heartbeats = this.conductor.heartbeats.length;
    this.agent = this.#spawn();
    await this.ready(heartbeats);
  }

  async ready(heartbeatsBefore = 0): Promise<void> {
    await until('a heartbeat of the agent', () => {
      if (!this.agent.running) throw new Error(`the agent has ended: ${this.agent.text}`);
      return this.conductor.heartbeats.length > heartbeatsBefore;
    });
  }

  /** A request to the agent's API as the conductor makes it: by the latest heartbeat's address and certificate. */
  async request(method: string, path: string, body?: unknown): Promise<{ status: number; data: unknown }> {
    const heartbeat = this.conductor.heartbeats.at(-1)!.body;
    const client = createHttpClient({ baseURL: String(heartbeat['callback_url']), ca: String(heartbeat['agent_verify_ca']), timeoutMs: 60_000 });
    const { status, data } = await client.request<unknown>({ method, url: path, params: { agent_token: this.conductor.token }, data: body });
    return { status, data };
  }

  /** Starts a capture; returns the command's id. */
  async capture(params: Record<string, unknown> = {}): Promise<string> {
    const all = { url: `${this.#url}/${this.snapshotUuid}/`, image_name: this.imageName, username: 'agent', password: PASSWORD, ca: this.#ca, deadline_s: 120, stall_timeout_s: 60, ...params };
    const { status, data } = await this.request('POST', '/v1/commands/?wait=false', { name: 'snapshot.stream_image', params: all });
    if (status !== 200) throw new Error(`the agent refused the command: ${status} ${JSON.stringify(data)}`);
    return (data as CommandReport).id;
  }

  async report(id: string): Promise<CommandReport> {
    return (await this.request('GET', `/v1/commands/${id}`)).data as CommandReport;
  }

  async ended(id: string): Promise<CommandReport> {
    return until('the command has ended', async () => {
      const report = await this.report(id);
      return report.command_status === 'RUNNING' ? null : report;
    }, 60_000);
  }

  /** Waits for a phase; with `moving`, until something of it has been done. */
  async phase(id: string, phase: StreamImageProgress['phase'], moving = false): Promise<void> {
    let last: CommandReport | undefined;
    await until(`phase ${phase}`, async () => {
      last = await this.report(id);
      if (last.command_status !== 'RUNNING') throw new Error(`the command has ended: ${JSON.stringify(last)}`);
      const progress = last.command_result as StreamImageProgress | null;
      return progress?.phase === phase && (!moving || progress.bytes_done > 0);
    }, 60_000, () => last);
  }

  /** What exists because of captures of this stage's agent: processes, mounts, files. Empty when nothing is left. */
  async leftovers(): Promise<string[]> {
    const processes = processesNaming(`${this.runDirectory}/capture`).map(({ pid, command }) => `process ${pid} ${command}`);
    const mounts = readMounts().filter((mount) => mount.directory.startsWith(this.directory)).map((mount) => `mount ${mount.directory}`);
    const files = (await readdir(this.runDirectory)).filter((name) => !['agent.key', 'agent.crt', 'registration.json', 'commands.json', 'port', 'dead-man.json'].includes(name));
    const pidFile = `${this.runDirectory}/capture/share`.slice(1).replaceAll('/', '-');
    const pidFiles = (await readdir('/run/mount.davfs').catch(() => [])).filter((name) => name.startsWith(pidFile));
    return [...processes, ...mounts, ...files, ...pidFiles];
  }

  /** Also what a test's agent could not remove because the test killed it. */
  async close(): Promise<void> {
    await this.relay.cut();
    if (this.agent.running) await this.agent.stop();
    const left = await this.leftovers();
    if (left.length > 0) {
      // an agent of the same run directory removes it; it needs no conductor for that
      this.agent = this.#spawn();
      await this.agent.line('it listens', ({ msg }) => msg === 'agent is listening');
      await this.agent.stop();
    }
    await this.conductor.close();
    await this.share.close();
    this.#shareServer.closeAllConnections();
    await new Promise((resolve) => this.#shareServer.close(resolve));
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Running processes with this text anywhere in their arguments. */
export function processesNaming(text: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return { pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') };
      } catch {
        return { pid: Number(name), command: '' }; // ended while we looked
      }
    })
    .filter(({ command }) => command.includes(text));
}
