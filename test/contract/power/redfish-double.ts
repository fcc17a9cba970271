import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DoubleSystem {
  power: string;
  /** Reads that still show a state in between after a reset. */
  readsUntilSettled: number;
  bootTarget: string;
  bootEnabled: string;
  bootMode: string;
  /** What is to be set at the next start. */
  pending: Record<string, string>;
  /** Reads that still show the former boot override. */
  readsUntilShown: number;
  version: number;
  /** Boot targets of all starts. */
  boots: string[];
}

interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** What happens to the next request that matches, instead of its answer. */
export interface Fault {
  method?: string;
  path?: RegExp;
  /** `status`: answered so and not done; `hang`: no answer; `drop`: closed unanswered; `done, then drop`: done, but the answer is lost. */
  does: { status: number; body?: unknown; headers?: Record<string, string> } | 'hang' | 'drop' | 'done, then drop' | 'cut answer';
  times?: number;
}

export interface DoubleOptions {
  systems?: string[];
  username?: string;
  password?: string;
  sessions?: boolean;
  basic?: boolean;
  /** `weak`: given as weak, taken as strong only. */
  etags?: boolean | 'weak';
  ignoresOnce?: boolean;
  /** `continuous`: stored as Continuous; `not offered`: only Continuous is allowed. */
  once?: 'continuous' | 'not offered' | 'kept';
  /** What becomes of a boot override that is set at the system: `ignored`: 200 and nothing; `refused`: 400; `late`: shown after a few reads. */
  bootAtSystem?: 'taken' | 'ignored' | 'refused' | 'late';
  /** Has `@Redfish.Settings`, whose boot override counts from the next start on. */
  settings?: boolean;
  /** A boot override without a mode sets this one. */
  modeWhenNotNamed?: 'Legacy' | 'UEFI';
  refusesMode?: boolean;
  /** Changes and resets are accepted with 202 and done, or failed, after a few looks at their task. */
  tasks?: 'done' | 'failed' | 'monitor goes' | 'for ever';
  /** Answer to a reset that leads where the machine already is. */
  alreadyStatus?: number;
  resetTypes?: string[] | 'action info' | 'not told';
  readsUntilSettled?: number;
  ignoresGraceful?: boolean;
  /** What a request takes, so that two at the same time would meet. */
  answerDelayMs?: number;
  tls?: { key: string; cert: string };
}

const READS_UNTIL_DONE = 3;
const BOOT_TARGETS = ['None', 'Pxe', 'Hdd', 'Cd', 'BiosSetup'];

/** A small BMC of its own, speaking real HTTP, whose faults a test can order. */
export class RedfishDouble {
  readonly systems = new Map<string, DoubleSystem>();
  readonly requests: string[] = [];
  readonly faults: Fault[] = [];
  readonly sessions = new Map<string, string>();
  sessionsMade = 0;
  mostAtOnce = 0;
  readonly #options: Required<Omit<DoubleOptions, 'tls' | 'tasks'>> & Pick<DoubleOptions, 'tls' | 'tasks'>;
  readonly #server: Server;
  #atOnce = 0;
  #task: { looks: number; work: () => Reply } | null = null;

  private constructor(options: DoubleOptions) {
    this.#options = { systems: ['1'], username: 'admin', password: 'pa55-of-the-bmc', sessions: true, basic: true, etags: true, ignoresOnce: false, once: 'kept', bootAtSystem: 'taken', settings: false, modeWhenNotNamed: 'UEFI', refusesMode: false, alreadyStatus: 204, resetTypes: ['On', 'ForceOff', 'GracefulShutdown'], readsUntilSettled: 0, ignoresGraceful: false, answerDelayMs: 0, ...options };
    for (const id of this.#options.systems) this.systems.set(id, { power: 'Off', readsUntilSettled: 0, bootTarget: 'None', bootEnabled: 'Disabled', bootMode: 'UEFI', pending: {}, readsUntilShown: 0, version: 1, boots: [] });
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      this.#handle(request, response).catch(() => request.socket.destroy());
    };
    this.#server = options.tls ? createHttpsServer(options.tls, listener) : createHttpServer(listener);
  }

  static async start(options: DoubleOptions = {}): Promise<RedfishDouble> {
    const double = new RedfishDouble(options);
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  get url(): string {
    return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }
  get driverInfo(): Record<string, string> {
    return { redfish_address: this.url, redfish_username: this.#options.username, redfish_password: this.#options.password };
  }
  system(id = '1'): DoubleSystem {
    const system = this.systems.get(id);
    if (!system) throw new Error(`no system ${id}`);
    return system;
  }
  count(text: string): number {
    return this.requests.filter((request) => request.startsWith(text)).length;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
    response.on('close', () => (this.#atOnce -= 1));
    const method = request.method ?? '';
    const path = (request.url ?? '').replace(/(?<=.)\/$/, '');
    this.requests.push(`${method} ${path}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as Record<string, unknown>;
    await sleep(this.#options.answerDelayMs);
    const fault = this.#nextFault(method, path);
    if (fault === 'hang') return;
    if (fault === 'drop') return void request.socket.destroy();
    if (fault === 'cut answer') {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 5_000 });
      response.write('{"PowerState": ', () => request.socket.destroy());
      return;
    }
    const reply = typeof fault === 'object' ? { ...fault } : this.#answer(method, path, body, request);
    if (fault === 'done, then drop') return void request.socket.destroy();
    response.writeHead(reply.status, { 'Content-Type': 'application/json', ...reply.headers }).end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  }

  #nextFault(method: string, path: string): Fault['does'] | undefined {
    const index = this.faults.findIndex((fault) => (fault.method ?? method) === method && (fault.path?.test(path) ?? true));
    const fault = this.faults[index];
    if (!fault) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.faults.splice(index, 1);
    return fault.does;
  }

  #answer(method: string, path: string, body: Record<string, unknown>, request: IncomingMessage): Reply {
    if (path === '/redfish/v1') return { status: 200, body: { '@odata.id': '/redfish/v1/', ...(this.#options.sessions ? { Links: { Sessions: { '@odata.id': '/redfish/v1/SessionService/Sessions' } } } : {}) } };
    if (method === 'POST' && path === '/redfish/v1/SessionService/Sessions') return this.#makeSession(body);
    if (!this.#isAuthorized(request)) return refusal(401, 'The request needs a valid login.');
    if (method === 'DELETE' && path.startsWith('/redfish/v1/SessionService/Sessions/')) {
      for (const [token, at] of this.sessions) if (at === path) this.sessions.delete(token);
      return { status: 204 };
    }
    if (path === TASK) return this.#lookAtTask();
    if (path === '/redfish/v1/Systems') return { status: 200, body: { Members: [...this.systems.keys()].map((id) => ({ '@odata.id': `/redfish/v1/Systems/${id}` })) } };
    const [, id = '', rest = ''] = /^\/redfish\/v1\/Systems\/([^/]+)(\/.*)?$/.exec(path) ?? [];
    const system = this.systems.get(id);
    if (!system) return refusal(404, `There is nothing at ${path}.`);
    if (rest === '/ResetActionInfo') return { status: 200, body: { Parameters: [{ Name: 'ResetType', AllowableValues: ['ForceOn', 'ForceOff'] }] } };
    if (rest === '/Actions/ComputerSystem.Reset') return this.#perhapsLater(() => this.#reset(system, String(body['ResetType'])));
    if (rest === '/Settings') return method === 'PATCH' ? this.#patchSettings(system, body) : { status: 200, body: { '@odata.id': path, Boot: { BootSourceOverrideTarget: 'None', BootSourceOverrideEnabled: 'Disabled', ...system.pending } } };
    return method === 'PATCH' ? this.#patch(system, body, request.headers['if-match']) : this.#show(id, system);
  }

  #makeSession(body: Record<string, unknown>): Reply {
    if (!this.#options.sessions) return refusal(404, 'There is no session service.');
    if (body['UserName'] !== this.#options.username || body['Password'] !== this.#options.password) return refusal(401, `Invalid login ${String(body['UserName'])}/${String(body['Password'])}.`); // a BMC that tells secrets
    const token = randomBytes(16).toString('hex');
    const path = `/redfish/v1/SessionService/Sessions/${(this.sessionsMade += 1)}`;
    this.sessions.set(token, path);
    return { status: 201, body: { '@odata.id': path }, headers: { 'X-Auth-Token': token, Location: `https://bmc.internal${path}` } };
  }

  #isAuthorized({ headers }: IncomingMessage): boolean {
    const token = headers['x-auth-token'];
    if (typeof token === 'string') return this.sessions.has(token);
    return this.#options.basic && headers.authorization === `Basic ${Buffer.from(`${this.#options.username}:${this.#options.password}`).toString('base64')}`;
  }

  #show(id: string, system: DoubleSystem): Reply {
    const { resetTypes } = this.#options;
    const unsettled = system.readsUntilSettled > 0;
    if (unsettled) system.readsUntilSettled -= 1;
    return {
      status: 200,
      headers: this.#options.etags ? { ETag: `${this.#options.etags === 'weak' ? 'W/' : ''}"${system.version}"` } : {},
      body: {
        '@odata.id': `/redfish/v1/Systems/${id}`,
        PowerState: unsettled ? (system.power === 'On' ? 'PoweringOn' : 'PoweringOff') : system.power,
        Boot: this.#showBoot(system),
        ...(this.#options.settings ? { '@Redfish.Settings': { SettingsObject: { '@odata.id': `/redfish/v1/Systems/${id}/Settings` } } } : {}),
        Actions: {
          '#ComputerSystem.Reset': {
            target: `/redfish/v1/Systems/${id}/Actions/ComputerSystem.Reset`,
            ...(resetTypes === 'action info' ? { '@Redfish.ActionInfo': `/redfish/v1/Systems/${id}/ResetActionInfo` } : resetTypes === 'not told' ? {} : { 'ResetType@Redfish.AllowableValues': resetTypes }),
          },
        },
      },
    };
  }

  #showBoot(system: DoubleSystem): Record<string, unknown> {
    const late = system.readsUntilShown > 0;
    if (late) system.readsUntilShown -= 1;
    return {
      BootSourceOverrideTarget: late ? 'None' : system.bootTarget,
      BootSourceOverrideEnabled: late ? 'Disabled' : system.bootEnabled,
      BootSourceOverrideMode: system.bootMode,
      'BootSourceOverrideTarget@Redfish.AllowableValues': BOOT_TARGETS,
      ...(this.#options.once === 'not offered' ? { 'BootSourceOverrideEnabled@Redfish.AllowableValues': ['Disabled', 'Continuous'] } : {}),
    };
  }

  #patch(system: DoubleSystem, body: Record<string, unknown>, ifMatch: string | undefined): Reply {
    if (this.#options.etags && ifMatch !== `"${system.version}"`) return refusal(412, 'The resource has changed.');
    const { BootSourceOverrideTarget: target = '', BootSourceOverrideEnabled: enabled = '', BootSourceOverrideMode: mode } = (body['Boot'] ?? {}) as Record<string, string>;
    const { bootAtSystem, once: onceIs, refusesMode, modeWhenNotNamed } = this.#options;
    if (!BOOT_TARGETS.includes(target)) return refusal(400, 'The boot target is not known.');
    if (bootAtSystem === 'refused' || (refusesMode && mode !== undefined) || (onceIs === 'not offered' && enabled === 'Once')) return refusal(400, 'The property cannot be written.');
    return this.#perhapsLater(() => {
      if (bootAtSystem === 'ignored') return { status: 200, body: {} };
      Object.assign(system, { bootTarget: target, bootEnabled: onceIs === 'continuous' && enabled === 'Once' ? 'Continuous' : enabled, bootMode: mode ?? modeWhenNotNamed, version: system.version + 1, readsUntilShown: bootAtSystem === 'late' ? READS_UNTIL_DONE : 0 });
      return { status: 200, body: {} };
    });
  }

  /** Done at the next start only, as its task, which nobody should wait for. */
  #patchSettings(system: DoubleSystem, body: Record<string, unknown>): Reply {
    system.pending = body['Boot'] as Record<string, string>;
    return { status: 202, headers: { Location: '/redfish/v1/TaskService/Tasks/at-next-start' } };
  }

  #perhapsLater(work: () => Reply): Reply {
    if (this.#options.tasks === undefined) return work();
    this.#task = { looks: 0, work };
    return { status: 202, headers: { Location: `https://bmc.internal${TASK}` } };
  }

  #lookAtTask(): Reply {
    if (!this.#task) return refusal(404, 'There is no task.');
    this.#task.looks += 1;
    if (this.#task.looks < READS_UNTIL_DONE || this.#options.tasks === 'for ever') return this.#task.looks === 1 ? { status: 202 } : { status: 200, body: { TaskState: 'Running' } };
    const { work } = this.#task;
    this.#task = null;
    if (this.#options.tasks === 'failed') return { status: 200, body: { TaskState: 'Exception', TaskStatus: 'Critical', Messages: [{ MessageId: 'X.1.0.Locked', Message: 'The front panel is locked.' }] } };
    const done = work();
    return this.#options.tasks === 'monitor goes' ? refusal(404, 'There is no task.') : done.status < 300 ? { status: 200, body: { TaskState: 'Completed', TaskStatus: 'OK' } } : done;
  }

  #reset(system: DoubleSystem, resetType: string): Reply {
    const target = ['On', 'ForceOn'].includes(resetType) ? 'On' : 'Off';
    if (!['On', 'ForceOn', 'ForceOff', 'GracefulShutdown'].includes(resetType)) return refusal(400, `${resetType} is not known.`);
    if (resetType === 'GracefulShutdown' && this.#options.ignoresGraceful) return { status: 204 };
    if (system.power === target) return this.#options.alreadyStatus < 300 ? { status: this.#options.alreadyStatus } : refusal(this.#options.alreadyStatus, 'The server is already in that state.');
    system.power = target;
    system.readsUntilSettled = this.#options.readsUntilSettled;
    if (target === 'On') {
      const { BootSourceOverrideTarget: bootTarget = system.bootTarget, BootSourceOverrideEnabled: bootEnabled = system.bootEnabled } = system.pending;
      Object.assign(system, { bootTarget, bootEnabled, pending: {} });
      system.boots.push(system.bootEnabled === 'Disabled' ? 'None' : system.bootTarget);
      if (system.bootEnabled === 'Once' && !this.#options.ignoresOnce) Object.assign(system, { bootTarget: 'None', bootEnabled: 'Disabled', version: system.version + 1 });
    }
    return { status: 204 };
  }
}

const TASK = '/redfish/v1/TaskService/TaskMonitors/1';

const refusal = (status: number, message: string): Reply => ({ status, body: { error: { code: 'Base.1.8.GeneralError', message: 'See ExtendedInfo.', '@Message.ExtendedInfo': [{ MessageId: 'Base.1.8.Refused', Message: message, Resolution: 'None' }] } } });
