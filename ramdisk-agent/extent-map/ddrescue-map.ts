import type { Extent } from '../qcow2/extents.ts';
import { RangeList } from './range-list.ts';

/** Longer than any line of a map. */
const LONGEST_LINE = 200;
const POSITION_LINE = /^0x[0-9A-F]{1,16}\s+\?$/i;
const BLOCK_LINE = /^(0x[0-9A-F]{1,16})\s+(0x[0-9A-F]{1,16})\s+([+?])$/i;

/**
 * Reads a map in the format of ddrescue ("Mapfile structure" in its manual) as `partclone.* -D` writes it: comments, a line
 * with the current position, then blocks `position size status` without gaps from 0 on, `+` used, `?` free. Text comes in
 * pieces. The first thing that is not understood makes the map worthless.
 */
export class DdrescueMapReader {
  readonly #startBytes: number;
  readonly #used = new RangeList();
  #rest = '';
  #positionSeen = false;
  #coveredBytes = 0;
  #usedBytes = 0;
  #problem: string | null = null;

  /** @param startBytes where on the disk the mapped range begins. */
  constructor(startBytes: number) {
    this.#startBytes = startBytes;
  }

  /** Never throws: what is wrong is told by `finish`. */
  add(text: string): void {
    if (this.#problem !== null) return;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#readLine(line);
    if (this.#rest.length > LONGEST_LINE) this.#reject(this.#rest);
  }

  /**
   * Call once, after the last piece. @returns used ranges of the disk (close ones joined), and the exact bytes that the map calls used;
   * or in a sentence why the map cannot be believed.
   */
  finish(expectedBytes: number): { extents: readonly Extent[]; usedBytes: number } | { problem: string } {
    if (this.#rest !== '') this.#reject(this.#rest);
    if (this.#problem !== null) return { problem: this.#problem };
    if (this.#coveredBytes !== expectedBytes) return { problem: `it covers ${this.#coveredBytes} of ${expectedBytes} bytes` };
    return { extents: this.#used.ranges, usedBytes: this.#usedBytes };
  }

  #readLine(line: string): void {
    if (this.#problem !== null || line.startsWith('#')) return;
    if (!this.#positionSeen) {
      this.#positionSeen = POSITION_LINE.test(line);
      if (!this.#positionSeen) this.#reject(line);
      return;
    }
    const [, position, size, status] = BLOCK_LINE.exec(line) ?? [];
    const [offsetBytes, sizeBytes] = [Number(position), Number(size)];
    if (offsetBytes !== this.#coveredBytes || !(sizeBytes > 0) || !Number.isSafeInteger(offsetBytes + sizeBytes)) {
      this.#reject(line);
      return;
    }
    this.#coveredBytes += sizeBytes;
    if (status !== '+') return;
    this.#usedBytes += sizeBytes;
    this.#used.add({ offsetBytes: this.#startBytes + offsetBytes, sizeBytes });
  }

  #reject(line: string): void {
    this.#problem ??= `after ${this.#coveredBytes} bytes it has the line ${JSON.stringify(line.slice(0, LONGEST_LINE))}`;
  }
}
