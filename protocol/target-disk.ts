/** Which disk may be overwritten: one choice for the agent, which writes, and for the conductor's plan, which tells beforehand. */
import type { RecordedDisk } from './deploy-commands.ts';
import { compileHints, identityHints, namesAnotherDisk, type HintedDevice } from './root-device-hints.ts';

export interface TargetQuestion<Disk extends HintedDevice> {
  disks: readonly Disk[];
  /** With neither serial number nor WWN it names nothing. */
  recorded: RecordedDisk | null;
  /** Null or empty: none. */
  hints: Readonly<Record<string, string | number | boolean>> | null;
}

/** What has named a disk: the first two mean this very disk, the others any that is like it. */
export type TargetNaming = 'record' | 'identity hint' | 'other hint' | 'only disk';
export type TargetRefusal = 'recorded disk missing' | 'recorded disk ambiguous' | 'hints contradict record' | 'hints match none' | 'hints match several' | 'nothing names it';
export type TargetAnswer<Disk> = { disk: Disk; by: TargetNaming } | { disk: null; refusal: TargetRefusal; among: readonly Disk[] };

/** Ironic's own rule: smaller disks are never taken without being named. */
export const MINIMUM_ROOT_BYTES = 4 * 1024 ** 3;

/**
 * The one disk that may be overwritten: the one that hints name by its serial number or WWN, else the recorded one (which the
 * hints, if there are any, have to match), else the only one that hints match, else, with neither, the only one of at least
 * 4 GiB. A size is no identity: volumes and virtual disks grow. @throws InvalidParameterError for hints that make no sense.
 */
export function chooseTarget<Disk extends HintedDevice>({ disks, recorded, hints }: TargetQuestion<Disk>): TargetAnswer<Disk> {
  const hinted = hints !== null && Object.keys(hints).length > 0 ? hints : null;
  const matches = compileHints(hinted ?? {});
  if (recorded !== null && followsRecord(recorded, hinted)) {
    const same = findSame(disks, recorded);
    const [disk] = same;
    if (!disk) return { disk: null, refusal: 'recorded disk missing', among: disks };
    if (same.length > 1) return { disk: null, refusal: 'recorded disk ambiguous', among: same };
    return matches(disk) ? { disk, by: 'record' } : { disk: null, refusal: 'hints contradict record', among: same };
  }
  if (hinted !== null) {
    const by = Object.keys(identityHints(hinted)).length > 0 ? 'identity hint' : 'other hint';
    return onlyOf(disks.filter(matches), by) ?? { disk: null, refusal: 'hints match none', among: disks };
  }
  return onlyOf(disks.filter(({ sizeBytes }) => sizeBytes >= MINIMUM_ROOT_BYTES), 'only disk') ?? { disk: null, refusal: 'nothing names it', among: disks };
}

/** Whether it is the record that decides, and hints can only contradict it. */
export const followsRecord = (recorded: RecordedDisk, hints: TargetQuestion<HintedDevice>['hints']): boolean => (normal(recorded.serial) ?? normal(recorded.wwn)) !== null && !namesAnotherDisk(hints, recorded);

type Identity = Pick<HintedDevice, 'serial' | 'wwn'>;

/** Whether what is known of both disks names the same one, in whatever case; with nothing to compare it does not. */
export function isSameDisk(one: Identity, other: Identity): boolean {
  const compared = compareFacts(one, other);
  return compared.length > 0 && compared.every(Boolean);
}

/** Of disks that share a serial number, those of which more is known to agree. */
function findSame<Disk extends Identity>(disks: readonly Disk[], recorded: Identity): Disk[] {
  const same = disks.filter((disk) => isSameDisk(disk, recorded));
  const most = Math.max(...same.map((disk) => compareFacts(disk, recorded).length));
  return same.filter((disk) => compareFacts(disk, recorded).length === most);
}

/** For each fact that both sides know: whether they agree. */
const compareFacts = (one: Identity, other: Identity): boolean[] =>
  (['serial', 'wwn'] as const).filter((name) => normal(one[name]) !== null && normal(other[name]) !== null).map((name) => normal(one[name]) === normal(other[name]));

const normal = (fact: string | null): string | null => fact?.trim().toLowerCase() || null;

function onlyOf<Disk>(disks: readonly Disk[], by: 'identity hint' | 'other hint' | 'only disk'): TargetAnswer<Disk> | null {
  const [disk] = disks;
  if (!disk) return null;
  if (disks.length === 1) return { disk, by };
  return { disk: null, refusal: by === 'only disk' ? 'nothing names it' : 'hints match several', among: disks };
}
