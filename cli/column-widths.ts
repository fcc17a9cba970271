import { widthOf, wrapText } from './text-width.ts';

/** Narrower columns than this cannot be read. */
export const NARROWEST = 8;
/** Longer words (identifiers, digests, times) may always be broken; as long ones as this only where there is no room for them. */
const LONG_WORD = 24;
/** Words up to this length are never broken. */
const SHORT_WORD = 12;
/** How many rows decide; a long list looks alike. */
const JUDGED_ROWS = 25;

/**
 * Widths of columns that together take at most `available` cells, so that the table is as low as can be and words stay whole.
 * A table of too many columns is wider than that: it could not be read otherwise.
 * @param rows the texts of all cells, the head first.
 */
export function fitColumns(rows: readonly (readonly string[])[], available: number): number[] {
  const natural = naturalWidths(rows);
  if (sum(natural) <= available) return natural;
  const judged = rows.slice(0, JUDGED_ROWS + 1);
  const widths = narrowestWidths(judged, natural, available);
  const columns = widths.map((narrowest, column) => heightsOf(judged.map((row) => row[column] ?? ''), narrowest, Math.min(natural[column] ?? narrowest, narrowest + available - sum(widths))));
  for (let left = available - sum(widths); left > 0; ) {
    const best = bestWidening(columns, widths, left);
    if (best === undefined) break;
    left -= best.cells;
    widths[best.column] = (widths[best.column] ?? 0) + best.cells;
  }
  const last = widths.length - 1; // what saves no line makes the last column wider, mostly one of prose
  widths[last] = Math.max(widths[last] ?? 0, Math.min(natural[last] ?? 0, (widths[last] ?? 0) + available - sum(widths)));
  return widths;
}

/** As wide as their longest lines. */
export const naturalWidths = (rows: readonly (readonly string[])[]): number[] =>
  (rows[0] ?? []).map((_, column) => Math.max(0, ...rows.flatMap((row) => (row[column] ?? '').split('\n').map(widthOf))));

/** As narrow as the words allow that are to stay whole: fewer of them the less room there is. */
function narrowestWidths(rows: readonly (readonly string[])[], natural: readonly number[], available: number): number[] {
  const words = natural.map((_, column) => rows.flatMap((row) => (row[column] ?? '').split(/\s+/).map(widthOf)));
  const withWordsUpTo = (most: number): number[] => natural.map((cells, column) => Math.min(cells, Math.max(NARROWEST, ...(words[column] ?? []).filter((word) => word <= most))));
  let widths = withWordsUpTo(LONG_WORD);
  for (let most = LONG_WORD - 1; most >= SHORT_WORD && sum(widths) > available; most--) widths = withWordsUpTo(most);
  return widths;
}

/** Lines of each cell of a column by its width. */
type Heights = ReadonlyMap<number, readonly number[]>;

function heightsOf(cells: readonly string[], narrowest: number, widest: number): Heights {
  return new Map(Array.from({ length: Math.max(widest - narrowest, 0) + 1 }, (_, more) => [narrowest + more, cells.map((cell) => wrapText(cell, narrowest + more).length)]));
}

/** The column, and the cells more for it, that save the most lines of the table for a cell; where none can be saved, lines of the column alone. */
function bestWidening(columns: readonly Heights[], widths: readonly number[], left: number): { column: number; cells: number } | undefined {
  const current = columns.map((heights, column) => heights.get(widths[column] ?? 0) ?? []);
  let best: { column: number; cells: number } | undefined;
  let bestWorth = 0;
  for (const [column, heights] of columns.entries()) {
    const now = current[column] ?? [];
    const others = now.map((_, row) => Math.max(1, ...current.map((lines, other) => (other === column ? 1 : (lines[row] ?? 1)))));
    const tableHeight = (lines: readonly number[]): number => sum(lines.map((count, row) => Math.max(count, others[row] ?? 1)));
    for (let cells = 1; cells <= left; cells++) {
      const then = heights.get((widths[column] ?? 0) + cells);
      if (then === undefined) break;
      const worth = (tableHeight(now) - tableHeight(then) + (sum(now) - sum(then)) / 100) / cells;
      if (worth > bestWorth) [best, bestWorth] = [{ column, cells }, worth];
    }
  }
  return best;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
