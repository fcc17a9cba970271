import type { BootMode } from '../../protocol/inventory.ts';
import { InvalidParameterError, OperationFailedError, UnsupportedInterfaceError } from '../../protocol/errors.ts';
import { BmcError } from './bmc-error.ts';
import type { BootDevice, BootDeviceSetting, DriverTask } from './interfaces.ts';
import { pause } from './redfish-exchange.ts';
import type { BootResource, RedfishSystem } from './redfish-systems.ts';
import { TaskFailedError } from './redfish-task.ts';

/** Boot devices and their names in Redfish (ComputerSystem, BootSourceOverrideTarget); it has none for `safe`. */
const BOOT_SOURCES: Readonly<Partial<Record<BootDevice, string>>> = { pxe: 'Pxe', disk: 'Hdd', cdrom: 'Cd', bios: 'BiosSetup' };
const MODES: Readonly<Record<BootMode, string>> = { bios: 'Legacy', uefi: 'UEFI' };
/** Answers of a BMC that does not take a change of this resource, or not this one. */
const REFUSALS: readonly (number | null)[] = [400, 405, 409, 422, 501];

export interface WantedOverride {
  device: BootDevice;
  persistent: boolean;
  /** Null: as it is. */
  mode: BootMode | null;
}

interface Seen {
  boot: BootResource;
  etag: string | null;
}
/** Where an override is written: the system itself, or the resource with its settings for the next start. */
interface Place {
  name: string;
  /** What it showed at first. */
  seen: Seen;
  read(): Promise<Seen>;
  patch(body: unknown, etag: string | null): Promise<void>;
}

/** What is set, or is to be from the next start on. */
export async function readOverride(system: RedfishSystem, signal: AbortSignal): Promise<BootDeviceSetting> {
  const settings = (await placesOf(system, signal)).map(({ seen }) => settingOf(seen.boot));
  return settings.find(({ persistent }) => persistent !== null) ?? { bootDevice: null, persistent: null };
}

/** What the BMC says that it can boot from; all that Redfish knows when it does not say. */
export async function devicesOf(system: RedfishSystem, signal: AbortSignal): Promise<BootDevice[]> {
  return supportedBy(allowedBy(await placesOf(system, signal), 'BootSourceOverrideTarget@Redfish.AllowableValues'));
}

/**
 * Sets the override and looks whether the BMC has it. One that knows no single boot sets it for good; one that does not take
 * it at the system gets it as a setting for the next start.
 * @throws InvalidParameterError for a device that the BMC does not have; OperationFailedError when it takes another one, or none.
 */
export async function writeOverride(system: RedfishSystem, wanted: WantedOverride, task: DriverTask): Promise<void> {
  const places = await placesOf(system, task.signal);
  const supported = supportedBy(allowedBy(places, 'BootSourceOverrideTarget@Redfish.AllowableValues'));
  if (!supported.includes(wanted.device)) throw new InvalidParameterError(`Invalid boot device ${wanted.device} specified; BMC ${system.origin} supports ${supported.join(', ') || 'none'}.`);
  const enabled = wayOf(system, wanted, allowedBy(places, 'BootSourceOverrideEnabled@Redfish.AllowableValues'), task);
  let refusal: unknown;
  for (const place of places) {
    const isLast = place === places.at(-1);
    try {
      return await writeAt(place, system, { ...wanted, enabled, mayShowNone: isLast && wanted.device === 'disk' }, task);
    } catch (error) {
      const isRefusal = error instanceof NotTakenError || error instanceof TaskFailedError || (error instanceof BmcError && REFUSALS.includes(error.failure.status));
      if (!isRefusal) throw error;
      refusal ??= error;
      if (isLast) throw refusal;
      task.log.debug({ reason: error.message }, 'the BMC does not take the boot device at the system: its settings are next');
    }
  }
}

/** The BMC has accepted a boot device, and shows another one, or none. */
class NotTakenError extends OperationFailedError {}

function wayOf(system: RedfishSystem, { persistent }: WantedOverride, ways: readonly string[] | undefined, { log }: DriverTask): 'Once' | 'Continuous' {
  const way = persistent ? 'Continuous' : 'Once';
  if (!ways || ways.includes(way)) return way;
  if (persistent || !ways.includes('Continuous')) throw new UnsupportedInterfaceError(`BMC ${system.origin} cannot set a boot device ${persistent ? 'for good' : 'at all'}: expected "${way}" among what it allows, found ${ways.join(', ')}`);
  log.warn('the BMC can set a boot device for good only: it stays until another one is set');
  return 'Continuous';
}

interface Write extends WantedOverride {
  enabled: string;
  /** The disk is what a server without an override boots from, mostly: a BMC that shows none is believed. */
  mayShowNone: boolean;
}

async function writeAt(place: Place, system: RedfishSystem, wanted: Write, task: DriverTask): Promise<void> {
  const { boot: before } = place.seen;
  const base = { BootSourceOverrideTarget: BOOT_SOURCES[wanted.device], BootSourceOverrideEnabled: wanted.enabled };
  const mode = wanted.mode !== null && allowsMode(before, MODES[wanted.mode]) ? MODES[wanted.mode] : undefined;
  await send(place, place.seen, mode === undefined ? base : { ...base, BootSourceOverrideMode: mode }, base);
  let now = await settled(place, system, wanted, task.signal);
  const keep = mode ?? before.BootSourceOverrideMode;
  if (keep && now.boot.BootSourceOverrideMode && now.boot.BootSourceOverrideMode !== keep) {
    await send(place, now, { ...base, BootSourceOverrideMode: keep }, base); // some fall back to another mode when the request names none
    now = await settled(place, system, wanted, task.signal);
    if (now.boot.BootSourceOverrideMode !== keep) task.log.warn({ mode: now.boot.BootSourceOverrideMode, wanted: keep }, 'the BMC does not take the boot mode that the server needs');
  }
  if (now.boot.BootSourceOverrideEnabled !== wanted.enabled) task.log.warn({ wanted: wanted.enabled, found: now.boot.BootSourceOverrideEnabled }, 'the BMC keeps the boot device for longer, or for a shorter time, than it was asked to');
}

/** Sends the first of two bodies that the BMC takes, as the change of what it shows now. */
async function send(place: Place, { etag: firstTag }: Seen, boot: Readonly<Record<string, unknown>>, otherwise: Readonly<Record<string, unknown>>): Promise<void> {
  let tag = firstTag;
  for (let mayBeStale = true; ; mayBeStale = false) {
    try {
      return await place.patch({ Boot: boot }, tag);
    } catch (error) {
      if (!(error instanceof BmcError)) throw error;
      if (error.failure.status === 400 && boot !== otherwise) return send(place, await place.read(), otherwise, otherwise);
      if (error.failure.status !== 412 || !mayBeStale) throw error;
      const { etag } = await place.read();
      tag = etag !== null && etag === firstTag ? etag.replace(/^W\//, '') : etag; // some give a weak tag and take a strong one only
    }
  }
}

/** Reads until the BMC shows the device. @throws NotTakenError when it does not in time. */
async function settled(place: Place, system: RedfishSystem, { device, mayShowNone }: Write, signal: AbortSignal): Promise<Seen> {
  const { firstPollMs, maxPollMs, settleMs } = system.options;
  const giveUpAt = Date.now() + settleMs;
  for (let pauseMs = firstPollMs; ; pauseMs = Math.min(pauseMs * 1.5, maxPollMs)) {
    const now = await place.read();
    const found = settingOf(now.boot);
    if (found.bootDevice === device) return now;
    const isOver = Date.now() > giveUpAt;
    if (isOver && mayShowNone && found.persistent === null) return now;
    if (isOver) throw new NotTakenError(`${place.name}: the boot device was set to ${device} (${BOOT_SOURCES[device]}) and accepted, but ${settleMs / 1_000} s later the BMC shows ${found.persistent === null ? 'none' : (now.boot.BootSourceOverrideTarget ?? 'none')}`);
    await pause(pauseMs, system.origin, signal);
  }
}

/** The system first: where a BMC has settings besides, most take it there all the same, and at once. */
async function placesOf(system: RedfishSystem, signal: AbortSignal): Promise<Place[]> {
  const { system: resource, etag: firstTag } = await system.read(signal);
  const own: Place = {
    name: `BMC ${system.origin}`,
    seen: { boot: resource.Boot ?? {}, etag: firstTag },
    read: async () => {
      const { system: now, etag } = await system.read(signal);
      return { boot: now.Boot ?? {}, etag };
    },
    patch: (body, etag) => system.patch(body, etag, signal),
  };
  const path = resource['@Redfish.Settings']?.SettingsObject?.['@odata.id'];
  if (path === undefined) return [own];
  const seen = await system.readSettings(path, signal);
  if (seen === null) return [own];
  const pending: Place = {
    name: `BMC ${system.origin}${path}`,
    seen,
    read: async () => (await system.readSettings(path, signal)) ?? { boot: {}, etag: null },
    patch: async (body, etag) => void (await system.client.patch(path, body, etag, signal, { untilDone: false })), // done at the next start only
  };
  return [own, pending];
}

const allowedBy = (places: readonly Place[], property: 'BootSourceOverrideTarget@Redfish.AllowableValues' | 'BootSourceOverrideEnabled@Redfish.AllowableValues'): readonly string[] | undefined => places.map(({ seen }) => seen.boot[property]).find((values) => values !== undefined);

function settingOf({ BootSourceOverrideTarget: source, BootSourceOverrideEnabled: enabled }: BootResource): BootDeviceSetting {
  if (!source || source === 'None' || (enabled !== 'Once' && enabled !== 'Continuous')) return { bootDevice: null, persistent: null };
  return { bootDevice: deviceOf(source), persistent: enabled === 'Continuous' };
}

const allowsMode = (boot: BootResource, mode: string): boolean => (boot['BootSourceOverrideMode@Redfish.AllowableValues'] ? boot['BootSourceOverrideMode@Redfish.AllowableValues'].includes(mode) : Boolean(boot.BootSourceOverrideMode));
const supportedBy = (sources: readonly string[] | undefined): BootDevice[] => (Object.keys(BOOT_SOURCES) as BootDevice[]).filter((device) => !sources || sources.includes(BOOT_SOURCES[device] as string));
const deviceOf = (source: string): BootDevice | null => (Object.keys(BOOT_SOURCES) as BootDevice[]).find((device) => BOOT_SOURCES[device] === source) ?? null;
