import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { HIDDEN_TOKEN, streamImageParamsSchema, type CapturedDisk, type StreamImageParams } from '../../protocol/agent-api.ts';
import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import { createHttpClient } from '../../protocol/http-client.ts';
import { IMAGE_HASH_ALGO } from '../../protocol/image.ts';
import type { JsonObject } from '../../protocol/json.ts';
import { createLogger } from '../../protocol/log.ts';
import { provideCertificate } from '../../ramdisk-agent/certificate.ts';
import type { CommandContext, Extension } from '../../ramdisk-agent/commands/command.ts';
import { CommandJournal } from '../../ramdisk-agent/commands/command-journal.ts';
import { CommandQueue } from '../../ramdisk-agent/commands/command-queue.ts';
import { CommandServer } from '../../ramdisk-agent/commands/command-server.ts';
import { defineCommand } from '../../ramdisk-agent/commands/define-command.ts';
import { ConductorApi } from '../../ramdisk-agent/conductor-api.ts';
import { RunDirectory } from '../../ramdisk-agent/run-directory.ts';
import { DeployRecord, scriptedDeploy } from './scripted-deploy.ts';

const HOST = '127.0.0.1';
const REQUEST_TIMEOUT_MS = 30_000;

export interface ScriptedAgentOptions {
  conductorUrl: string;
  conductorCa: string;
  /** MAC address by which the conductor knows the machine. */
  address: string;
  directory: string;
  /** What it says to have read from the disk. */
  image: { bytes: Buffer; virtualSizeBytes: number };
  /** The machine's disk, as it tells of it. */
  disk?: Partial<CapturedDisk>;
}

/** What the script has the running command do. */
interface Cue {
  failure?: string;
  /** Whether the disk was touched by then. */
  touched?: boolean;
}

/** One boot of the ramdisk. */
interface Boot {
  nodeUuid: string;
  token: string;
  certificate: string;
  callbackUrl: string;
  queue: CommandQueue;
  server: CommandServer;
}

/**
 * The ramdisk agent's own lookup, heartbeat and commands API, except that it calls when the script says so, and that its
 * `snapshot.stream_image` waits for a cue and then sends a small image to the share, with the credential it was given.
 */
export class ScriptedAgent {
  /** Does not take the command. */
  refusesCommand = false;
  /** Sends no heartbeat when a command ends. */
  isMute = false;
  /** Has stopped listening by the time it calls: nobody answers at the address that it gives. */
  isDeaf = false;
  /** What its kernel's command line says of this boot. */
  bootNonce: string | undefined;
  /** Where it says that it can be called back. */
  callbackHost = HOST;
  /** Reports a digest that is not the one of what it has sent. */
  reportsWrongDigest = false;
  /** What came of deployments and cleanings. */
  readonly record = new DeployRecord();
  readonly #options: ScriptedAgentOptions;
  readonly #log = createLogger('scripted-agent', 'silent');
  readonly #cues = new EventEmitter();
  #boot: Boot | undefined;
  #boots = 0;

  constructor(options: ScriptedAgentOptions) {
    this.#options = options;
  }

  /** Looks itself up and sends a heartbeat. Where the conductor gives a token, the machine has been booted anew, and so is the agent. */
  async call(): Promise<void> {
    const { node, config } = await this.#api().lookup([this.#options.address], undefined, AbortSignal.timeout(REQUEST_TIMEOUT_MS));
    if (typeof config.agent_token === 'string' && config.agent_token !== HIDDEN_TOKEN) {
      await this.close();
      this.#boot = await this.#start(node.uuid, config.agent_token);
    }
    if (this.isDeaf) await this.#running().server.close();
    await this.#heartbeat();
  }

  /** The running capture comes to its end, the image on the share; then the agent calls, as the real one does at once. */
  async endCapture(): Promise<void> {
    await this.#giveCue({});
  }

  async failCapture(failure: string): Promise<void> {
    await this.#giveCue({ failure });
  }

  /** The running command of the extension `deploy` comes to its end: it reads and proves the image, or has wiped the disk. */
  async endCommand(): Promise<void> {
    await this.#giveCue({});
  }

  async failCommand(failure: string, touched: boolean): Promise<void> {
    await this.#giveCue({ failure, touched });
  }

  async close(): Promise<void> {
    const boot = this.#boot;
    this.#boot = undefined;
    await boot?.queue.stopAll('the machine was switched off');
    await boot?.server.close();
  }

  async #start(nodeUuid: string, token: string): Promise<Boot> {
    this.#boots += 1;
    const runDirectory = new RunDirectory(join(this.#options.directory, `boot-${this.#boots}`));
    const certificate = await provideCertificate(runDirectory, HOST);
    const queue = new CommandQueue({ snapshot: this.#extension(), deploy: this.#deployExtension() }, new CommandJournal(runDirectory), this.#log, () => undefined);
    const server = new CommandServer({ queue, certificate, token: () => token, log: this.#log });
    const port = await server.listen(HOST, 0);
    return { nodeUuid, token, certificate: certificate.certificate, callbackUrl: `https://${this.callbackHost}:${port}`, queue, server };
  }

  #api(): ConductorApi {
    const { conductorUrl: url, conductorCa: ca } = this.#options;
    return new ConductorApi({ url, ca, insecure: false, ...(this.bootNonce === undefined ? {} : { bootNonce: this.bootNonce }) });
  }

  #running(): Boot {
    if (!this.#boot) throw new Error('the conductor has given this agent no token: it believes that the machine runs another one');
    return this.#boot;
  }

  async #heartbeat(): Promise<void> {
    const { nodeUuid, callbackUrl, token, certificate } = this.#running();
    await this.#api().heartbeat(nodeUuid, { callbackUrl, agentVersion: 'scripted', agentToken: token, certificate }, AbortSignal.timeout(REQUEST_TIMEOUT_MS));
  }

  async #giveCue(cue: Cue): Promise<void> {
    const { queue } = this.#running();
    const command = queue.reports().at(-1);
    if (!command || !this.#cues.emit('cue', cue)) throw new Error('no command is running');
    await queue.waitForEnd(command.id);
    // the conductor asks by itself, too: it may be done with this agent by now, and then it does not know its token any more
    if (!this.isMute) await this.#heartbeat().catch(() => undefined);
  }

  #extension(): Extension {
    const stream = defineCommand({ paramsSchema: streamImageParamsSchema, secretParams: ['password'], run: (params, context) => this.#capture(params, context) });
    return {
      stream_image: {
        prepare: (params) => {
          if (this.refusesCommand) throw new InvalidParameterError('this machine has no disk that could be captured');
          return stream.prepare(params);
        },
      },
    };
  }

  #deployExtension(): Extension {
    const cue = async (signal: AbortSignal): Promise<Cue> => ((await once(this.#cues, 'cue', { signal })) as [Cue])[0];
    return scriptedDeploy({ cue, refuses: () => this.refusesCommand, disk: this.#disk }, this.record);
  }

  get #disk(): CapturedDisk {
    return { name: '/dev/sda', serial: null, wwn: null, model: null, size_bytes: this.#options.image.virtualSizeBytes, sector_size_bytes: 512, ...this.#options.disk };
  }

  async #capture(params: StreamImageParams, { signal, report }: CommandContext): Promise<JsonObject> {
    const { bytes, virtualSizeBytes } = this.#options.image;
    report({ phase: 'converting', bytes_done: 0, bytes_total: virtualSizeBytes });
    const [cue] = (await once(this.#cues, 'cue', { signal })) as [Cue];
    if (cue.failure !== undefined) throw new OperationFailedError(cue.failure);
    await this.#upload(params, signal);
    return {
      image_name: params.image_name,
      size_bytes: bytes.length,
      proof: { algo: IMAGE_HASH_ALGO, value: createHash(IMAGE_HASH_ALGO).update(this.reportsWrongDigest ? 'other data' : bytes).digest('hex') },
      virtual_size_bytes: virtualSizeBytes,
      disk: { ...this.#disk },
      duration_s: 0,
    };
  }

  async #upload({ url, image_name: name, username, password, ca }: StreamImageParams, signal: AbortSignal): Promise<void> {
    const client = createHttpClient({ timeoutMs: REQUEST_TIMEOUT_MS, ca, pinned: true });
    const reply = await client.put(new URL(name, url).href, this.#options.image.bytes, { auth: { username, password }, headers: { 'Content-Type': 'application/octet-stream' }, signal });
    if (reply.status !== 201) throw new OperationFailedError(`the share answered ${reply.status} to the image`);
  }
}
