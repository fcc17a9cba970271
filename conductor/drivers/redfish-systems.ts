import { createHash } from 'node:crypto';
import { z } from 'zod';
import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import { BmcError } from './bmc-error.ts';
import type { DriverTask } from './interfaces.ts';
import { readRedfishAccess, type RedfishAccess } from './redfish-access.ts';
import { RedfishClient } from './redfish-client.ts';
import { REDFISH_DEFAULTS, type RedfishOptions } from './redfish-exchange.ts';
import { monitorOf } from './redfish-task.ts';
import { RequestQueue } from './request-queue.ts';

export type { RedfishOptions } from './redfish-exchange.ts';

const names = z.array(z.string()).optional().catch(undefined);
const bootSchema = z.looseObject({
  BootSourceOverrideTarget: z.string().nullish(),
  BootSourceOverrideEnabled: z.string().nullish(),
  BootSourceOverrideMode: z.string().nullish(),
  'BootSourceOverrideTarget@Redfish.AllowableValues': names,
  'BootSourceOverrideEnabled@Redfish.AllowableValues': names,
  'BootSourceOverrideMode@Redfish.AllowableValues': names,
});
export type BootResource = z.infer<typeof bootSchema>;
/** What we need of a ComputerSystem (Redfish schema ComputerSystem v1). */
const systemSchema = z.looseObject({
  PowerState: z.string().nullish(),
  Boot: bootSchema.nullish(),
  '@Redfish.Settings': z.looseObject({ SettingsObject: z.looseObject({ '@odata.id': z.string() }).optional() }).optional().catch(undefined),
  Actions: z.looseObject({ '#ComputerSystem.Reset': z.looseObject({ target: z.string(), 'ResetType@Redfish.AllowableValues': names, '@Redfish.ActionInfo': z.string().optional() }).optional() }).nullish(),
  '@odata.etag': z.string().optional(),
});
export type SystemResource = z.infer<typeof systemSchema>;

export const collectionSchema = z.looseObject({ Members: z.array(z.looseObject({ '@odata.id': z.string() })) });
const actionInfoSchema = z.looseObject({ Parameters: z.array(z.looseObject({ Name: z.string(), AllowableValues: names })).optional() });

/** One server behind a BMC, for the length of a driver's operation. */
export interface RedfishSystem {
  readonly origin: string;
  readonly options: RedfishOptions;
  /** For the BMC's resources beside the system's own. */
  readonly client: Pick<RedfishClient, 'get' | 'patch' | 'post' | 'look'>;
  /** @throws BmcError */
  read(signal: AbortSignal): Promise<{ system: SystemResource; etag: string | null }>;
  /** What of the boot is to be from the next start on; null: nothing of it is set there, or there is no such resource. @throws BmcError */
  readSettings(path: string, signal: AbortSignal): Promise<{ boot: BootResource; etag: string | null } | null>;
  /** @throws BmcError */
  patch(body: unknown, etag: string | null, signal: AbortSignal): Promise<void>;
  /**
   * Sends the first of `wanted` reset types that the BMC allows.
   * @returns where the BMC tells how it goes on, for `client.look`; null: nowhere.
   * @throws BmcError; OperationFailedError when it allows none of them.
   */
  reset(system: SystemResource, wanted: readonly string[], signal: AbortSignal): Promise<string | null>;
}

export interface RedfishSystems {
  /** The server that the node's driver_info names; nothing is sent yet. @throws InvalidParameterError */
  of(task: DriverTask): Promise<RedfishSystem>;
  /** Ends the sessions on all BMCs. */
  close(): Promise<void>;
}

/** All BMCs that this process speaks to: a client per login, a queue per BMC. They are few and small, and stay. */
export function createRedfishSystems(options: Partial<RedfishOptions> = {}): RedfishSystems {
  const settings = { ...REDFISH_DEFAULTS, ...options };
  const clients = new Map<string, RedfishClient>();
  const queues = new Map<string, RequestQueue>();

  const clientFor = (access: RedfishAccess): RedfishClient => {
    const { systemPath: _, ...login } = access;
    const key = createHash('sha256').update(JSON.stringify(login)).digest('hex');
    const queue = queues.get(access.origin) ?? new RequestQueue();
    queues.set(access.origin, queue);
    const client = clients.get(key) ?? new RedfishClient(access, queue, settings);
    clients.set(key, client);
    return client;
  };

  return {
    async of(task) {
      const access = await readRedfishAccess(task.node.driverInfo);
      return createSystem(clientFor(access), access.systemPath);
    },
    async close() {
      await Promise.all([...clients.values()].map((client) => client.close()));
    },
  };
}

function createSystem(client: RedfishClient, givenPath: string | null): RedfishSystem {
  const { origin } = client.access;
  let path = givenPath;
  const systemPath = async (signal: AbortSignal): Promise<string> => (path ??= await onlySystem(client, signal));

  return {
    origin,
    options: client.options,
    client,
    async read(signal) {
      const at = await systemPath(signal);
      const reply = await client.get(at, signal);
      const system = parseResource(systemSchema, reply.body, `${origin}${at}`, 'a ComputerSystem');
      return { system, etag: reply.etag ?? system['@odata.etag'] ?? null };
    },
    async readSettings(at, signal) {
      try {
        const { body, etag } = await client.get(at, signal);
        const boot = bootSchema.nullish().catch(null).parse(body['Boot']) ?? null;
        const tag = body['@odata.etag'];
        return boot?.BootSourceOverrideTarget === undefined ? null : { boot, etag: etag ?? (typeof tag === 'string' ? tag : null) };
      } catch (error) {
        if (error instanceof BmcError && NO_RESOURCE.includes(error.failure.status)) return null;
        throw error;
      }
    },
    async patch(body, etag, signal) {
      await client.patch(await systemPath(signal), body, etag, signal);
    },
    async reset(system, wanted, signal) {
      const action = system.Actions?.['#ComputerSystem.Reset'];
      if (!action) throw new OperationFailedError(`BMC ${origin} offers no reset of ${await systemPath(signal)}: its power cannot be changed`);
      const allowed = action['ResetType@Redfish.AllowableValues'] ?? (await typesOfActionInfo(client, action['@Redfish.ActionInfo'], signal)) ?? wanted;
      const resetType = wanted.find((type) => allowed.includes(type));
      if (resetType === undefined) throw new UnavailableResetError(`BMC ${origin} offers none of the reset types ${wanted.join(', ')}; it has ${allowed.join(', ')}`, { wanted, allowed });
      return monitorOf(await client.post(action.target, { ResetType: resetType }, signal, { untilDone: false }), origin);
    },
  };
}

/** Answers of a BMC that links to what it does not have. */
const NO_RESOURCE: readonly (number | null)[] = [403, 404, 405, 501];

/** None of the reset types that would do is offered by the BMC. */
export class UnavailableResetError extends OperationFailedError {}

async function onlySystem(client: RedfishClient, signal: AbortSignal): Promise<string> {
  const where = `${client.access.origin}/redfish/v1/Systems`;
  const { Members } = parseResource(collectionSchema, (await client.get('/redfish/v1/Systems', signal)).body, where, 'a collection');
  const [first, ...others] = Members.map((member) => member['@odata.id']);
  if (first === undefined) throw new OperationFailedError(`${where} has no system`);
  if (others.length > 0) throw new InvalidParameterError(`${where} has ${Members.length} systems: set driver_info.redfish_system_id to one of ${[first, ...others].slice(0, 20).join(', ')}`);
  return first;
}

async function typesOfActionInfo(client: RedfishClient, path: string | undefined, signal: AbortSignal): Promise<string[] | undefined> {
  if (path === undefined) return undefined;
  const info = parseResource(actionInfoSchema, (await client.get(path, signal)).body, `${client.access.origin}${path}`, 'an ActionInfo');
  return info.Parameters?.find((parameter) => parameter.Name === 'ResetType')?.AllowableValues;
}

/** @throws OperationFailedError when the BMC's answer is not `what`. */
export function parseResource<T>(schema: z.ZodType<T>, body: unknown, where: string, what: string): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new OperationFailedError(`${where}: expected ${what} of Redfish: ${parsed.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; ')}`);
  return parsed.data;
}
