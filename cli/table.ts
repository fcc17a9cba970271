import { NARROWEST, fitColumns, naturalWidths } from './column-widths.ts';
import { widthOf, wrapText } from './text-width.ts';

/** A border, and a space on each side of what is in it. */
const FRAME = 3;

/** Makes the text of a cell for a column of this width; undefined: as wide as it likes. */
export type Cell = string | ((width: number | undefined) => string);

/**
 * A table in ASCII with a rule below the head and between sections.
 * @param width cells of the terminal that it is to fit into: cells are wrapped. Undefined: no limit.
 */
export function drawTable(head: readonly string[], sections: readonly (readonly (readonly Cell[])[])[], width?: number): string {
  const filled = sections.filter((rows) => rows.length > 0);
  const texts = [head, ...filled.flat().map((row) => row.map((cell) => render(cell, undefined)))];
  const widths = width === undefined ? naturalWidths(texts) : fitColumns(texts, width - head.length * FRAME - 1);
  const rule = `+${widths.map((cells) => '-'.repeat(cells + 2)).join('+')}+`;
  const blocks = [[head], ...filled].map((rows) => rows.flatMap((row) => drawRow(row, widths, width !== undefined)));
  return [rule, ...blocks.flatMap((lines) => [...lines, rule])].join('\n');
}

const render = (cell: Cell, width: number | undefined): string => (typeof cell === 'string' ? cell : cell(width));

function drawRow(row: readonly Cell[], widths: readonly number[], wraps: boolean): string[] {
  const cells = row.map((cell, column) => (wraps ? wrapText(render(cell, widths[column]), widths[column] ?? NARROWEST) : render(cell, undefined).split('\n')));
  const height = Math.max(1, ...cells.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) => `|${cells.map((lines, column) => ` ${padTo(lines[line] ?? '', widths[column] ?? 0)} `).join('|')}|`);
}

const padTo = (text: string, width: number): string => text + ' '.repeat(Math.max(width - widthOf(text), 0));
