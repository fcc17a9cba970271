import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MediaOptions {
  /** Where the BMC has its virtual media. */
  at?: 'system' | 'manager';
  /** `PATCH`: the drive has no actions; `dead action`: it names some that do not exist. */
  way?: 'action' | 'PATCH' | 'dead action';
  /** Properties that are refused with 400. */
  refuses?: readonly string[];
  /** Property without which inserting is refused with 400. */
  needs?: string;
  /** A change needs the ETag, which comes weak and is taken strong. */
  etags?: boolean;
  /** So many looks at the drive show it as before a change; Infinity: it accepts and does nothing. */
  looksUntilSettled?: number;
  /** The drive says that something is inserted, never what. */
  hidesImage?: boolean;
  /** A change is answered with 500, always; the drive stays as it is. */
  fails?: boolean;
  /** So many changes are carried out and then not answered. */
  lostAnswers?: number;
  /** So many changes are neither carried out nor answered. */
  lostRequests?: number;
  /** The drives, in the BMC's order. */
  drives?: readonly { id: string; types: readonly string[]; image?: string }[];
}

interface Drive {
  id: string;
  types: readonly string[];
  image: string | null;
  /** What is shown until it has settled. */
  shown: string | null;
  looks: number;
}

const SYSTEM = '/redfish/v1/Systems/1';
const MANAGER = '/redfish/v1/Managers/1';

/** A BMC with virtual media and the quirks that a test orders, over real HTTP. */
export class VirtualMediaDouble {
  readonly drives: Drive[];
  /** Every change that was asked for: method, path and body. */
  readonly changes: { method: string; path: string; body: Record<string, unknown> }[] = [];
  readonly #options: Required<Omit<MediaOptions, 'needs' | 'drives'>> & Pick<MediaOptions, 'needs'>;
  readonly #server: Server;
  #version = 1;

  private constructor(options: MediaOptions) {
    this.#options = { at: 'manager', way: 'action', refuses: [], etags: false, looksUntilSettled: 0, hidesImage: false, fails: false, lostAnswers: 0, lostRequests: 0, ...options };
    const drives = options.drives ?? [{ id: 'Floppy1', types: ['Floppy', 'USBStick'] }, { id: 'Cd1', types: ['CD', 'DVD'] }];
    this.drives = drives.map(({ id, types, image = null }) => ({ id, types, image, shown: image, looks: 0 }));
    this.#server = createServer((request, response) => void this.#handle(request, response).catch(() => request.socket.destroy()));
  }

  static async start(options: MediaOptions = {}): Promise<VirtualMediaDouble> {
    const double = new VirtualMediaDouble(options);
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get driverInfo(): Record<string, string> {
    return { redfish_address: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`, redfish_system_id: SYSTEM };
  }

  drive(id = 'Cd1'): Drive {
    const drive = this.drives.find((candidate) => candidate.id === id);
    if (!drive) throw new Error(`no drive ${id}`);
    return drive;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  get #collection(): string {
    return `${this.#options.at === 'system' ? SYSTEM : MANAGER}/VirtualMedia`;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as Record<string, unknown>;
    const answer = (status: number, document?: unknown, headers: Record<string, string> = {}): void => void response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(document === undefined ? undefined : JSON.stringify(document));
    const drive = this.drives.find(({ id }) => path.startsWith(`${this.#collection}/${id}`));
    if (method === 'GET') {
      const headers = this.#options.etags ? { ETag: `W/"${this.#version}"` } : undefined;
      const document = drive ? this.#show(drive) : this.#resource(path);
      return document ? answer(200, document, headers) : answer(404, refusal('There is nothing here.'));
    }
    this.changes.push({ method, path, body });
    const byAction = /\/Actions\/VirtualMedia\.(Insert|Eject)Media$/.exec(path)?.[1];
    if (!drive || (byAction === undefined && method !== 'PATCH') || (byAction !== undefined && this.#options.way !== 'action') || (method === 'PATCH' && this.#options.way === 'action')) return answer(method === 'PATCH' ? 405 : 404, refusal('This cannot be changed so.'));
    if (this.#options.etags && method === 'PATCH' && request.headers['if-match'] !== `"${this.#version}"`) return answer(412, refusal('The resource has changed.'));
    const refused = Object.keys(body).find((name) => this.#options.refuses.includes(name));
    if (refused !== undefined) return answer(400, refusal(`The property ${refused} is not known.`));
    const isInsert = byAction === 'Insert' || typeof body['Image'] === 'string';
    if (isInsert && this.#options.needs !== undefined && !(this.#options.needs in body)) return answer(400, refusal(`The property ${this.#options.needs} is missing.`));
    if (this.#options.fails) return answer(500, refusal('The medium cannot be changed.'));
    if (this.#options.lostRequests > 0) {
      this.#options.lostRequests -= 1;
      request.socket.destroy();
      return;
    }
    if (isInsert && drive.image !== null) return answer(400, refusal('There is an image already.'));
    drive.image = isInsert ? String(body['Image']) : null;
    drive.looks = this.#options.looksUntilSettled;
    this.#version += 1;
    if (this.#options.lostAnswers > 0) {
      this.#options.lostAnswers -= 1;
      request.socket.destroy();
      return;
    }
    answer(204);
  }

  #resource(path: string): unknown {
    const media = { VirtualMedia: { '@odata.id': this.#collection } };
    if (path === SYSTEM) return { PowerState: 'Off', Links: { ManagedBy: [{ '@odata.id': '/redfish/v1/Managers/Chassis' }, { '@odata.id': MANAGER }] }, ...(this.#options.at === 'system' ? media : {}) };
    if (path === '/redfish/v1/Managers/Chassis') return { Id: 'Chassis' };
    if (path === MANAGER) return this.#options.at === 'manager' ? media : { Id: '1' };
    return path === this.#collection ? { Members: this.drives.map(({ id }) => ({ '@odata.id': `${this.#collection}/${id}` })) } : null;
  }

  #show(drive: Drive): unknown {
    if (drive.looks > 0) drive.looks -= 1;
    else drive.shown = drive.image;
    const at = `${this.#collection}/${drive.id}/Actions/VirtualMedia`;
    return {
      Id: drive.id,
      MediaTypes: drive.types,
      Inserted: drive.shown !== null,
      Image: this.#options.hidesImage ? '' : drive.shown,
      Actions: this.#options.way === 'PATCH' ? {} : { '#VirtualMedia.InsertMedia': { target: `${at}.InsertMedia` }, '#VirtualMedia.EjectMedia': { target: `${at}.EjectMedia` } },
    };
  }
}

const refusal = (message: string): unknown => ({ error: { '@Message.ExtendedInfo': [{ MessageId: 'Base.1.8.Refused', Message: message }] } });
