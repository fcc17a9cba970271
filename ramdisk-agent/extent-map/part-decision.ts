import type { Extent } from '../qcow2/extents.ts';
import type { FileSystemMark } from './file-system-marks.ts';
import { sumOf } from './range-list.ts';

/** Of a file system: nothing to replay or mend; has to be replayed; contradicts itself; nobody can tell. */
export type PartState = 'clean' | 'dirty' | 'damaged' | 'unknown';

/** What becomes of one part of a disk in its image, for the snapshot's report. */
export interface PartDecision extends Extent {
  /** For people: "partition 2", "space before partition 1". */
  what: string;
  /** What blkid(8) calls it; null: nothing that it knows, or not looked at. */
  content: string | null;
  state: PartState;
  /** Its used blocks only; all of it; nothing but its header. */
  treatment: 'mapped' | 'read in full' | 'left out';
  /** Of its bytes, those that are in the image at most (zeros among them may be left out later). */
  usedBytes: number;
  reason: string | null;
}

/** A decision, and the ranges of the disk that it puts into the image. */
export interface DecidedPart {
  decision: PartDecision;
  extents: Extent[];
  /** Where bytes are left out: what shows whether that is still right after the capture. */
  mark: FileSystemMark | null;
}

/** Raised where something speaks against leaving out any byte of a part: it is then read in full, and this is why. */
export class MapDoubt extends Error {
  readonly state: PartState;

  constructor(state: PartState, reason: string, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause });
    this.state = state;
  }
}

type Place = Pick<PartDecision, 'what' | 'offsetBytes' | 'sizeBytes'>;

/** The decision of doubt: every byte of the part. */
export function readInFull({ what, offsetBytes, sizeBytes }: Place, content: string | null, state: PartState, reason: string): DecidedPart {
  return { decision: { what, offsetBytes, sizeBytes, content, state, treatment: 'read in full', usedBytes: sizeBytes, reason }, extents: [{ offsetBytes, sizeBytes }], mark: null };
}

/** The decision to take these ranges of a part only. */
export function takeOnly({ what, offsetBytes, sizeBytes }: Place, content: string, treatment: 'mapped' | 'left out', extents: Extent[], mark: FileSystemMark): DecidedPart {
  return { decision: { what, offsetBytes, sizeBytes, content, state: 'clean', treatment, usedBytes: sumOf(extents), reason: null }, extents, mark };
}

const UNITS: readonly (readonly [string, number])[] = [['TiB', 1024 ** 4], ['GiB', 1024 ** 3], ['MiB', 1024 ** 2], ['KiB', 1024]];

/** A decision as a line of a report: `partition 2: ext4, clean, 1.66 of 7.9 GiB used, mapped`. */
export function describePart({ what, content, state, treatment, usedBytes, sizeBytes, reason }: PartDecision): string {
  const [unit, unitBytes] = UNITS.find(([, bytes]) => sizeBytes >= bytes) ?? ['bytes', 1];
  const amount = (bytes: number): string => String(Number((bytes / unitBytes).toPrecision(3)));
  const known = state === 'unknown' ? [] : [state];
  const size = treatment === 'mapped' ? `${amount(usedBytes)} of ${amount(sizeBytes)} ${unit} used` : `${amount(sizeBytes)} ${unit}`;
  const done = treatment === 'left out' ? 'left out but for its header' : treatment;
  return `${what}: ${[...(content === null ? [] : [content]), ...known, size, done].join(', ')}${reason === null ? '' : ` (${reason})`}`;
}
