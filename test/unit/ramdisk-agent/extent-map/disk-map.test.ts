import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { composeMap } from '../../../../ramdisk-agent/extent-map/disk-map.ts';
import { divideDisk } from '../../../../ramdisk-agent/extent-map/disk-parts.ts';
import { readInFull, takeOnly } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import { clusterRunsOf, type Extent } from '../../../../ramdisk-agent/qcow2/extents.ts';

const MIB = 1024 ** 2;
/** Layouts are made of these; the disk may end within one. */
const UNIT_BYTES = MIB / 2;
const MARK = { what: '', offsetBytes: 0, sizeBytes: 0, sha256: '' };

const span = fc.record({ first: fc.nat(60), count: fc.nat(20) });
const layout = fc.record({
  diskBytes: fc.tuple(fc.integer({ min: 1, max: 50 }), fc.nat(UNIT_BYTES / 512 - 1)).map(([units, sectors]) => units * UNIT_BYTES + sectors * 512),
  partitions: fc.array(fc.record({ place: span, used: fc.array(span, { maxLength: 6 }), proven: fc.boolean() }), { maxLength: 6 }),
});
const toExtent = ({ first, count }: { first: number; count: number }, start = 0): Extent => ({ offsetBytes: start + first * UNIT_BYTES, sizeBytes: count * UNIT_BYTES });
const endOf = ({ offsetBytes, sizeBytes }: Extent): number => offsetBytes + sizeBytes;
const meets = (one: Extent, other: Extent): boolean => Math.max(one.offsetBytes, other.offsetBytes) < Math.min(endOf(one), endOf(other));

/** Ranges that are wholly free or used, and wholly in the disk's last MiB or before it. */
function piecesOf(diskBytes: number): Extent[] {
  const borders = new Set([diskBytes - MIB, diskBytes]);
  for (let at = 0; at < diskBytes; at += UNIT_BYTES) borders.add(at);
  const inOrder = [...borders].filter((at) => at >= 0).sort((one, other) => one - other);
  return inOrder.slice(1).map((end, index) => ({ offsetBytes: inOrder[index]!, sizeBytes: end - inOrder[index]! }));
}

test('whatever the layout, every byte is in the map that is not proven free: in one partition only, wholly on the disk, of a known map', () => {
  fc.assert(fc.property(layout, ({ diskBytes, partitions }) => {
    const places = partitions.map(({ place }) => toExtent(place));
    const usedOf = (index: number): Extent[] => partitions[index]!.used.map((used) => toExtent(used, places[index]!.offsetBytes)).filter((used) => endOf(used) <= endOf(places[index]!));
    const parts = divideDisk(diskBytes, places.map(({ offsetBytes, sizeBytes }, index) => ({ name: String(index), startBytes: offsetBytes, sizeBytes })));
    const map = composeMap(diskBytes, parts.map((part) => {
      const index = Number(part.what);
      return part.obstacle === null && partitions[index]!.proven ? takeOnly(part, 'ext4', 'mapped', usedOf(index), MARK) : readInFull(part, null, 'unknown', 'in the way');
    }));

    expect(clusterRunsOf(map.extents, diskBytes, 65_536)).toBeDefined(); // all of them on the disk
    const wrong: unknown[] = []; // one expectation for all of them: thousands would be slow
    for (const piece of piecesOf(diskBytes)) {
      const owners = places.flatMap((place, index) => (meets(place, piece) ? [index] : []));
      const owner = owners.length === 1 ? owners[0]! : null;
      const provenFree = owner !== null && partitions[owner]!.proven && endOf(places[owner]!) <= diskBytes
        && !places.some((place, index) => index !== owner && meets(place, places[owner]!)) && !usedOf(owner).some((used) => meets(used, piece));
      const atEdge = piece.offsetBytes < MIB || endOf(piece) > diskBytes - MIB;
      const taken = map.extents.some((extent) => extent.offsetBytes <= piece.offsetBytes && endOf(extent) >= endOf(piece));
      const touched = map.extents.some((extent) => meets(extent, piece));
      if ((!provenFree || atEdge) && !taken) wrong.push({ piece, missing: true });
      if (provenFree && !atEdge && touched && piece.sizeBytes >= 65_536) wrong.push({ piece, needless: true });
    }
    expect(wrong).toEqual([]);
  }), { numRuns: 500 });
});

test('the parts are the whole disk: none of it is missing in the report', () => {
  fc.assert(fc.property(layout, ({ diskBytes, partitions }) => {
    const parts = divideDisk(diskBytes, partitions.map(({ place }, index) => ({ name: `partition ${index}`, startBytes: toExtent(place).offsetBytes, sizeBytes: toExtent(place).sizeBytes })));
    expect(parts.filter(({ what }) => what.startsWith('partition'))).toHaveLength(partitions.length);
    let reached = 0;
    for (const part of parts.filter(({ sizeBytes }) => sizeBytes > 0)) {
      expect(part.offsetBytes).toBeLessThanOrEqual(reached);
      if (part.offsetBytes < reached) expect(part.obstacle).toContain('overlaps');
      reached = Math.max(reached, endOf(part));
    }
    expect(reached).toBe(diskBytes);
  }));
});

test('gaps are named by their neighbours', () => {
  const partition = (number: number, startMib: number, sizeMib: number) => ({ name: `partition ${number}`, startBytes: startMib * MIB, sizeBytes: sizeMib * MIB });
  expect(divideDisk(20 * MIB, [partition(2, 10, 5), partition(1, 1, 4)]).map(({ what }) => what)).toEqual([
    'space before partition 1', 'partition 1', 'space between partition 1 and partition 2', 'partition 2', 'space behind partition 2',
  ]);
});
