import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** What happens to the next command that matches, instead of its answer: a completion code, or silence. */
export interface IpmiFault {
  /** Network function and command, for example `00 02` for Chassis Control. */
  command: string;
  does: number | 'silence';
  times?: number;
}

export interface IpmiDoubleOptions {
  username?: string;
  password?: string;
  /** Looks at the power state that still show the former one after a command. */
  readsUntilSettled?: number;
  ignoresSoft?: boolean;
  refusesSoft?: boolean;
  ignoresOnce?: boolean;
  /** Answers 0xcc to the request to keep the boot flags for longer than 60 seconds. */
  refusesToKeepBootFlags?: boolean;
  /** Takes boot flags and reports them as not valid. */
  hidesBootFlags?: boolean;
}

const COMPLETION = { ok: 0x00, invalidCommand: 0xc1, invalidData: 0xcc } as const;
const NO_BOOT_FLAGS = Buffer.alloc(5);

/** A small BMC of its own that speaks real IPMI 1.5 (MD5 sessions) with all boot flags, whose faults a test can order. */
export class IpmiDouble {
  readonly commands: string[] = [];
  readonly faults: IpmiFault[] = [];
  /** Boot device selectors of all starts; null: none was set. */
  readonly boots: { selector: number; uefi: boolean }[] = [];
  power = false;
  bootFlags: Buffer = NO_BOOT_FLAGS;
  keepsBootFlags = false;
  sessionsMade = 0;
  mostSessionsAtOnce = 0;
  readonly #options: Required<IpmiDoubleOptions>;
  readonly #socket: Socket = createSocket('udp4');
  readonly #sessions = new Set<number>();
  #challenge = { sessionId: 0, data: Buffer.alloc(16) };
  #sequence = 0;
  #readsUntilSettled = 0;

  private constructor(options: IpmiDoubleOptions) {
    this.#options = { username: 'admin', password: 'pa55-of-the-bmc', readsUntilSettled: 0, ignoresSoft: false, refusesSoft: false, ignoresOnce: false, refusesToKeepBootFlags: false, hidesBootFlags: false, ...options };
    this.#socket.on('message', (message, from) => this.#receive(message, from));
  }

  static async start(options: IpmiDoubleOptions = {}): Promise<IpmiDouble> {
    const double = new IpmiDouble(options);
    double.#socket.bind(0, '127.0.0.1');
    await once(double.#socket, 'listening');
    return double;
  }

  get port(): number {
    return this.#socket.address().port;
  }
  get driverInfo(): Record<string, string | number> {
    return { ipmi_address: '127.0.0.1', ipmi_port: this.port, ipmi_username: this.#options.username, ipmi_password: this.#options.password, ipmi_protocol_version: '1.5' };
  }
  count(command: string): number {
    return this.commands.filter((sent) => sent.startsWith(command)).length;
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  #receive(message: Buffer, from: RemoteInfo): void {
    const isPing = message[3] === 0x06;
    const reply = isPing ? Buffer.concat([Buffer.from([6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x40, message[9] ?? 0, 0, 0x10, 0, 0, 0x11, 0xbe, 0, 0, 0, 0, 0x81]), Buffer.alloc(7)]) : this.#session(message);
    if (reply) this.#socket.send(reply, from.port, from.address);
  }

  /** Session header of IPMI 1.5 (table 13-8) around a message; null: no answer, as for a wrong authentication code. */
  #session(message: Buffer): Buffer | null {
    const authType = message.readUInt8(4);
    const sequence = message.readUInt32LE(5);
    const sessionId = message.readUInt32LE(9);
    const at = authType === 0 ? 13 : 29;
    const payload = message.subarray(at + 1, at + 1 + message.readUInt8(at));
    if (authType !== 0 && !message.subarray(13, 29).equals(this.#authCode(sessionId, payload, sequence))) return null;
    const [target = 0, netFnLun = 0, , requester = 0, sequenceLun = 0, command = 0] = payload;
    const name = `${hex(netFnLun >> 2)} ${hex(command)}`;
    const data = payload.subarray(6, -1);
    this.commands.push([name, ...[...data].map(hex)].join(' '));
    const body = this.#nextFault(name) ?? this.#answer(name, data, sessionId, authType !== 0);
    if (body === 'silence') return null;
    const head = Buffer.from([requester, netFnLun | 0x04]);
    const rest = Buffer.concat([Buffer.from([target, sequenceLun, command]), Buffer.from(body)]);
    const answer = Buffer.concat([head, checksum(head), rest, checksum(rest)]);
    this.#sequence += 1;
    const fields = Buffer.alloc(9);
    fields.writeUInt8(authType, 0);
    fields.writeUInt32LE(authType === 0 ? 0 : this.#sequence, 1);
    fields.writeUInt32LE(sessionId, 5);
    return Buffer.concat([Buffer.from([6, 0, 0xff, 7]), fields, ...(authType === 0 ? [] : [this.#authCode(sessionId, answer, this.#sequence)]), Buffer.from([answer.length]), answer]);
  }

  #authCode(sessionId: number, payload: Buffer, sequence: number): Buffer {
    const password = Buffer.alloc(16);
    password.write(this.#options.password);
    const numbers = Buffer.alloc(8);
    numbers.writeUInt32LE(sessionId, 0);
    numbers.writeUInt32LE(sequence, 4);
    return createHash('md5').update(Buffer.concat([password, numbers.subarray(0, 4), payload, numbers.subarray(4), password])).digest();
  }

  #nextFault(name: string): number[] | 'silence' | undefined {
    const index = this.faults.findIndex((fault) => fault.command === name);
    const fault = this.faults[index];
    if (!fault) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.faults.splice(index, 1);
    return fault.does === 'silence' ? 'silence' : [fault.does];
  }

  #answer(name: string, data: Buffer, sessionId: number, authenticated: boolean): number[] {
    switch (name) {
      case '06 38': // Get Channel Authentication Capabilities: MD5, users with names
        return [COMPLETION.ok, 1, 0x04, 0x04, 0, 0, 0, 0, 0];
      case '06 39': {
        const user = data.subarray(1, 17).toString('latin1').replace(/\0+$/, '');
        if (user !== this.#options.username) return [user === '' ? 0x82 : 0x81];
        this.#challenge = { sessionId: randomBytes(4).readUInt32LE() || 1, data: randomBytes(16) };
        return [COMPLETION.ok, ...littleEndian(this.#challenge.sessionId), ...this.#challenge.data];
      }
      case '06 3a':
        if (!authenticated || !data.subarray(2, 18).equals(this.#challenge.data)) return [0x86];
        this.#sessions.add(this.#challenge.sessionId);
        this.sessionsMade += 1;
        this.mostSessionsAtOnce = Math.max(this.mostSessionsAtOnce, this.#sessions.size);
        return [COMPLETION.ok, 0x02, ...littleEndian(this.#challenge.sessionId), 1, 0, 0, 0, 4];
      case '06 3c':
        this.#sessions.delete(sessionId);
        return [COMPLETION.ok];
      default:
        return this.#sessions.has(sessionId) ? this.#command(name, data) : [0xd4];
    }
  }

  #command(name: string, data: Buffer): number[] {
    switch (name) {
      case '06 3b':
        return [COMPLETION.ok, data[0] ?? 0];
      case '06 01':
        return [COMPLETION.ok, 0x20, 1, 1, 0, 0x51, 0x80, 0, 0, 0, 0, 0];
      case '00 01': {
        const unsettled = this.#readsUntilSettled > 0;
        if (unsettled) this.#readsUntilSettled -= 1;
        return [COMPLETION.ok, Number(this.power !== unsettled), 0, 0];
      }
      case '00 02':
        return this.#control(data[0] ?? 0);
      case '00 08':
        return this.#setBootOption((data[0] ?? 0) & 0x7f, data.subarray(1));
      case '00 09':
        return data[0] === 5 ? [COMPLETION.ok, 1, 5, (this.bootFlags[0] ?? 0) & (this.#options.hidesBootFlags ? 0x7f : 0xff), ...this.bootFlags.subarray(1)] : [COMPLETION.ok, 1, data[0] ?? 0, 0, 0];
      default:
        return [COMPLETION.invalidCommand];
    }
  }

  #control(control: number): number[] {
    if (control === 5 && this.#options.refusesSoft) return [COMPLETION.invalidData];
    if (control === 5 && this.#options.ignoresSoft) return [COMPLETION.ok];
    const on = control === 1;
    if (this.power === on) return [COMPLETION.ok];
    this.power = on;
    this.#readsUntilSettled = this.#options.readsUntilSettled;
    if (!on) return [COMPLETION.ok];
    const [flags = 0, selection = 0] = this.bootFlags;
    this.boots.push({ selector: flags & 0x80 ? (selection >> 2) & 0x0f : 0, uefi: (flags & 0x20) !== 0 });
    if ((flags & 0x40) === 0 && !this.#options.ignoresOnce) this.bootFlags = NO_BOOT_FLAGS;
    return [COMPLETION.ok];
  }

  #setBootOption(parameter: number, data: Buffer): number[] {
    if (parameter === 3 && this.#options.refusesToKeepBootFlags) return [COMPLETION.invalidData];
    if (parameter === 3) this.keepsBootFlags = data[0] === 0x08;
    if (parameter === 5) this.bootFlags = Buffer.from(data);
    return [COMPLETION.ok];
  }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
const checksum = (bytes: Buffer): Buffer => Buffer.from([-bytes.reduce((sum, byte) => sum + byte, 0) & 0xff]);
const littleEndian = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
