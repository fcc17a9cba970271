import { z } from 'zod';
import { OperationFailedError } from '../../protocol/errors.ts';
import { BmcError } from './bmc-error.ts';
import { pause } from './redfish-exchange.ts';
import { collectionSchema, parseResource, type RedfishSystem } from './redfish-systems.ts';

const link = z.looseObject({ '@odata.id': z.string() });
const action = z.looseObject({ target: z.string() }).optional();
const systemLinksSchema = z.looseObject({ VirtualMedia: link.nullish(), Links: z.looseObject({ ManagedBy: z.array(link).optional() }).nullish() });
const managerSchema = z.looseObject({ VirtualMedia: link.nullish() });
/** What we need of a VirtualMedia (Redfish schema VirtualMedia v1). */
const driveSchema = z.looseObject({
  MediaTypes: z.array(z.string()).nullish(),
  Image: z.string().nullish(),
  ImageName: z.string().nullish(),
  Inserted: z.boolean().nullish(),
  Actions: z.looseObject({ '#VirtualMedia.InsertMedia': action, '#VirtualMedia.EjectMedia': action }).nullish(),
});
type DriveResource = z.infer<typeof driveSchema>;

/** What lies in a drive; `image` is null where the BMC does not say what it is. */
export interface Medium {
  image: string | null;
}

/** How long a BMC may take to insert or eject what it has accepted, and after how long a lost answer meant no. */
export interface DriveTimes {
  settleMs: number;
  lostMs: number;
}
export const DRIVE_TIMES: DriveTimes = { settleMs: 60_000, lostMs: 10_000 };

const CD_TYPES = ['CD', 'DVD'];
/** Answers of a BMC that does not have what was asked for. */
const LACKING_STATUSES: readonly (number | null)[] = [404, 405, 501];
/** Answers of a BMC that wants the request in other words. */
const REFUSALS: readonly (number | null)[] = [400, 422];
/** Of a request that was not answered. */
const MAX_TRIES = 2;

/**
 * The drives of a system that take a CD, in the BMC's order; empty: it has none. Newer BMCs have them at the system, others
 * at the system's manager.
 * @throws BmcError, or OperationFailedError for an answer that is not Redfish.
 */
export async function findCdDrives(system: RedfishSystem, signal: AbortSignal, times: DriveTimes = DRIVE_TIMES): Promise<VirtualDrive[]> {
  const { origin, client } = system;
  const read = async <T>(path: string, schema: z.ZodType<T>, what: string): Promise<T> => parseResource(schema, (await client.get(path, signal)).body, `${origin}${path}`, what);
  const drivesOf = async (collection: string | undefined): Promise<VirtualDrive[]> => {
    if (collection === undefined) return [];
    const found: VirtualDrive[] = [];
    for (const { '@odata.id': path } of (await read(collection, collectionSchema, 'a collection')).Members) {
      const { MediaTypes: types } = await read(path, driveSchema, 'a VirtualMedia');
      if (types?.some((type) => CD_TYPES.includes(type))) found.push(new VirtualDrive(system, path, times));
    }
    return found;
  };

  const { VirtualMedia: own, Links: links } = parseResource(systemLinksSchema, (await system.read(signal)).system, origin, 'a ComputerSystem');
  const atSystem = await drivesOf(own?.['@odata.id']);
  if (atSystem.length > 0) return atSystem;
  for (const { '@odata.id': manager } of links?.ManagedBy ?? []) {
    const atManager = await drivesOf((await read(manager, managerSchema, 'a Manager')).VirtualMedia?.['@odata.id']);
    if (atManager.length > 0) return atManager;
  }
  return [];
}

/** A drive that a BMC emulates, whose medium is an image at a URL. */
export class VirtualDrive {
  /** Where it is, for messages. */
  readonly name: string;
  readonly #system: RedfishSystem;
  readonly #path: string;
  readonly #times: DriveTimes;

  constructor(system: RedfishSystem, path: string, times: DriveTimes) {
    this.name = `${system.origin}${path}`;
    this.#system = system;
    this.#path = path;
    this.#times = times;
  }

  /** Null: the drive is empty. @throws BmcError */
  async medium(signal: AbortSignal): Promise<Medium | null> {
    return mediumOf(await this.#read(signal));
  }

  /**
   * Inserts the image into the empty drive, and returns what the BMC shows once it says that there is something in it.
   * @throws BmcError when it refuses; OperationFailedError when it accepts and does nothing.
   */
  async insert(url: string, signal: AbortSignal): Promise<Medium> {
    const bodies = [
      { Image: url, Inserted: true, WriteProtected: true },
      // some refuse properties that they do not need, some need one that others refuse
      { Image: url },
      { Image: url, TransferProtocolType: new URL(url).protocol === 'https:' ? 'HTTPS' : 'HTTP' },
    ];
    await this.#change('#VirtualMedia.InsertMedia', bodies, bodies, (medium) => medium !== null, signal);
    const medium = await this.medium(signal);
    if (!medium) throw new OperationFailedError(`${this.name} is empty again right after the image was inserted`);
    return medium;
  }

  /** Returns once the drive is empty; an empty one is left alone. @throws BmcError when the BMC refuses; OperationFailedError when it accepts and does nothing. */
  async eject(signal: AbortSignal): Promise<void> {
    if ((await this.medium(signal)) === null) return;
    await this.#change('#VirtualMedia.EjectMedia', [{}], [{ Image: null, Inserted: false }, { Image: null }, { Inserted: false }], (medium) => medium === null, signal);
  }

  /** Sends the first of the bodies that the BMC takes, by the action or, where it has none, as a change of the resource. */
  async #change(name: '#VirtualMedia.InsertMedia' | '#VirtualMedia.EjectMedia', actionBodies: readonly object[], patchBodies: readonly object[], settled: (medium: Medium | null) => boolean, signal: AbortSignal): Promise<void> {
    const { client } = this.#system;
    const target = (await this.#read(signal)).Actions?.[name]?.target;
    if (target !== undefined) {
      try {
        return await this.#offer(actionBodies, (body) => client.post(target, body, signal), settled, signal);
      } catch (error) {
        if (!(error instanceof BmcError) || !LACKING_STATUSES.includes(error.failure.status)) throw error;
      }
    }
    const patch = async (body: object): Promise<unknown> => {
      const { etag } = await client.get(this.#path, signal);
      try {
        return await client.patch(this.#path, body, etag, signal);
      } catch (error) {
        const strong = etag?.replace(/^W\//, '');
        if (!(error instanceof BmcError) || error.failure.status !== 412 || strong === undefined || strong === etag) throw error;
        return client.patch(this.#path, body, strong, signal); // some give a weak tag and take a strong one only
      }
    };
    await this.#offer(patchBodies, patch, settled, signal);
  }

  async #offer(bodies: readonly object[], send: (body: object) => Promise<unknown>, settled: (medium: Medium | null) => boolean, signal: AbortSignal): Promise<void> {
    let refusal: BmcError | undefined;
    for (const body of bodies) {
      for (let tries = 1; ; tries += 1) {
        try {
          await send(body);
        } catch (error) {
          if (!(error instanceof BmcError)) throw error;
          const { status, mayHaveActed } = error.failure;
          if (!mayHaveActed && !REFUSALS.includes(status)) throw error;
          if (mayHaveActed && (await this.#waitUntil(settled, this.#times.lostMs, signal))) return;
          if (status === null && tries < MAX_TRIES) continue; // the request was lost, or its answer was, and nothing has come of it
          refusal ??= error;
          break; // the next body
        }
        if (await this.#waitUntil(settled, this.#times.settleMs, signal)) return;
        throw new OperationFailedError(`${this.name}: the BMC accepted the request, and ${this.#times.settleMs / 1_000} s later nothing has come of it`);
      }
    }
    // the first refusal is that of the whole request, as the schema has it
    throw refusal ?? new OperationFailedError(`${this.name} cannot be changed`);
  }

  async #waitUntil(settled: (medium: Medium | null) => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const giveUpAt = Date.now() + timeoutMs;
    const { firstPollMs, maxPollMs } = this.#system.options;
    for (let pauseMs = firstPollMs; ; pauseMs = Math.min(pauseMs * 1.5, maxPollMs)) {
      if (settled(await this.medium(signal))) return true;
      if (Date.now() > giveUpAt) return false;
      await pause(pauseMs, this.#system.origin, signal);
    }
  }

  async #read(signal: AbortSignal): Promise<DriveResource> {
    return parseResource(driveSchema, (await this.#system.client.get(this.#path, signal)).body, this.name, 'a VirtualMedia');
  }
}

/** Not every BMC tells both whether something is inserted and what. */
function mediumOf({ Inserted: inserted, Image: image, ImageName: imageName }: DriveResource): Medium | null {
  const shown = image || imageName || null;
  return (inserted ?? shown !== null) ? { image: shown } : null;
}
