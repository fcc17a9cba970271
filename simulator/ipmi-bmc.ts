import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { SYSTEM_PATH } from '../protocol/program.ts';
import { ChassisQuestions } from './chassis-questions.ts';
import { createRedfishChassis, type RedfishMachine } from './redfish-chassis.ts';

export interface IpmiBmcOptions {
  /** Made for it and removed at the end. */
  directory: string;
  machine: RedfishMachine;
  host: string;
  /** UDP port; 0: any free one. */
  port: number;
  username: string;
  password: string;
  /** 32 hexadecimal digits. */
  kgKey?: string | undefined;
  log: Logger;
}

const READY_TIMEOUT_MS = 30_000;
const PING_INTERVAL_MS = 50;
/** RMCP header of class ASF, and a presence ping (ASF 2.0, section 3.2.4.2). */
const PRESENCE_PING = Buffer.from([6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0]);
const CONTROLLERS = 'mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n';

/** A real IPMI 2.0 BMC, an ipmi_sim process, in front of a machine of a rack. */
export class IpmiBmc {
  readonly address: string;
  readonly port: number;
  readonly #directory: string;
  readonly #stopAsking = new AbortController();
  #output = '';
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> | undefined;
  #questions: ChassisQuestions | undefined;

  private constructor({ directory, host }: IpmiBmcOptions, port: number) {
    this.address = host;
    this.port = port;
    this.#directory = directory;
  }

  /** Resolves when it answers. @throws OperationFailedError when ipmi_sim does not start; nothing is left then. */
  static async start(options: IpmiBmcOptions): Promise<IpmiBmc> {
    const bmc = new IpmiBmc(options, options.port || (await freeUdpPort(options.host)));
    try {
      await bmc.#start(options);
    } catch (error) {
      await bmc.close();
      throw error;
    }
    return bmc;
  }

  /** Ends ipmi_sim, which has nothing to lose, and removes its directory. */
  async close(): Promise<void> {
    this.#stopAsking.abort();
    this.#process?.kill('SIGKILL');
    await this.#ended;
    await this.#questions?.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #start({ machine, username, password, kgKey, log }: IpmiBmcOptions): Promise<void> {
    const file = (name: string): string => join(this.#directory, name);
    await mkdir(file('state'), { recursive: true, mode: 0o700 });
    const answer = createRedfishChassis(machine, this.#stopAsking.signal);
    this.#questions = await ChassisQuestions.open(this.#directory, async (question) => {
      try {
        return await answer(question);
      } catch (error) {
        log.warn({ question, reason: messageOf(error) }, 'the machine did not do what was asked by IPMI');
        throw error;
      }
    });
    await writeFile(file('lan.conf'), this.#configuration({ username, password, kgKey, program: this.#questions.program }), { mode: 0o600 });
    await writeFile(file('controllers.emu'), CONTROLLERS, { mode: 0o600 });
    // setpriv: ends with us, also when we are killed
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', 'ipmi_sim', '-n', '-c', file('lan.conf'), '-f', file('controllers.emu'), '-s', file('state')], { env: { PATH: SYSTEM_PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#process, 'close').catch((error: unknown) => (this.#output += messageOf(error)));
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (this.#output = (this.#output + text).slice(-2_000)));
    await this.#answers();
  }

  #configuration({ username, password, kgKey, program }: Pick<IpmiBmcOptions, 'username' | 'password' | 'kgKey'> & { program: string }): string {
    const authentication = ['callback', 'user', 'operator', 'admin'].map((level) => `allowed_auths_${level} md5`);
    const lan = [`addr ${this.address} ${this.port}`, 'priv_limit admin', ...authentication, 'guid a123456789abcdefa123456789abcdef', ...(kgKey === undefined ? [] : [`bmc_key ${kgKey}`])];
    const user = `user 2 true "${username}" "${password}" admin 10 md5`;
    return ['name "machine"', 'set_working_mc 0x20', 'startlan 1', ...lan, 'endlan', `chassis_control "'${program}' 0x20"`, user, ''].join('\n');
  }

  /** Pings until it answers. */
  async #answers(): Promise<void> {
    const socket = createSocket(this.address.includes(':') ? 'udp6' : 'udp4');
    let pong = false;
    socket.on('message', () => (pong = true));
    socket.on('error', () => undefined); // refused as long as nobody listens
    socket.connect(this.port, this.address);
    try {
      await once(socket, 'connect');
      for (const giveUpAt = Date.now() + READY_TIMEOUT_MS; !pong; await pause(PING_INTERVAL_MS)) {
        const over = this.#process?.exitCode !== null || this.#process.signalCode !== null;
        if (over || Date.now() > giveUpAt) throw new OperationFailedError(`ipmi_sim (package openipmi) ${over ? 'ended' : 'does not answer'} on ${this.address}:${this.port}: ${this.#output.trim() || 'it said nothing'}`);
        socket.send(PRESENCE_PING, () => undefined); // an error of this one is no matter: there is a next one
      }
    } finally {
      socket.close();
    }
  }
}

async function freeUdpPort(host: string): Promise<number> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
