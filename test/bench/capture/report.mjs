import { median } from '../report.mjs';
import { ROW } from './rows.mjs';

const MEGABYTE = 1e6;

/**
 * Medians over the rounds, a row each, with the ratios to `qemu-img convert` of as many disks. `cpuS` is of all ends together.
 * @returns {{row: string, machines: number, wallS: number, cpuS: number, cpuOf: object, peakBytes: object, readBytes: number, writtenBytes: number, imageBytes: number, bytesPerS: number, downtimeS?: number, transferS?: number, wallRatio?: number, cpuRatio?: number}[]}
 */
export function summarize({ rounds }) {
  const groups = new Map();
  for (const one of rounds) {
    const key = `${one.row} ${one.machines}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const rows = [...groups.values()].map(summarizeRow);
  for (const row of rows) {
    const convert = rows.find((one) => one.row === ROW.convert && one.machines === row.machines);
    Object.assign(row, { wallRatio: row.wallS / convert.wallS, cpuRatio: row.cpuS / convert.cpuS });
  }
  const order = Object.values(ROW);
  return rows.toSorted((one, other) => one.machines - other.machines || order.indexOf(one.row) - order.indexOf(other.row));
}

function summarizeRow(measured) {
  const [{ row, machines, ends, downtimeS, transferS }] = measured;
  const middle = (figure) => median(measured.map(figure));
  const ofEnds = (figure) => Object.fromEntries(Object.keys(ends).map((end) => [end, middle((one) => one.ends[end][figure])]));
  const total = (figure) => middle((one) => Object.values(one.ends).reduce((sum, end) => sum + end[figure], 0));
  const [wallS, imageBytes] = [middle((one) => one.wallS), middle((one) => one.imageBytes)];
  return {
    row,
    machines,
    wallS,
    cpuS: total('cpuS'),
    cpuOf: ofEnds('cpuS'),
    peakBytes: ofEnds('peakBytes'),
    readBytes: total('readBytes'),
    writtenBytes: total('writtenBytes'),
    imageBytes,
    bytesPerS: imageBytes / wallS,
    ...(downtimeS === undefined ? {} : { downtimeS: middle((one) => one.downtimeS) }),
    ...(transferS === undefined ? {} : { transferS: middle((one) => one.transferS) }),
  };
}

/** The rows as a table of text. */
export function table(rows) {
  const head = ['', 'at once', 'wall s', 'CPU s', 'of each end', 'MB/s', 'peak RSS MB', 'read MB', 'written MB', 'image MB', 'downtime s', 'wall : convert', 'CPU : convert'];
  const lines = rows.map((row) => [
    row.row,
    String(row.machines),
    row.wallS.toFixed(2),
    row.cpuS.toFixed(2),
    each(row.cpuOf, (seconds) => seconds.toFixed(2)),
    megabytes(row.bytesPerS),
    each(row.peakBytes, (bytes) => (bytes === 0 ? '-' : megabytes(bytes))),
    megabytes(row.readBytes),
    megabytes(row.writtenBytes),
    megabytes(row.imageBytes),
    row.downtimeS === undefined ? '-' : row.downtimeS.toFixed(1),
    row.wallRatio.toFixed(2),
    row.cpuRatio.toFixed(2),
  ]);
  return aligned([head, ...lines], [0, 4, 6]);
}

/** The aims, each marked. */
export function verdictTable(verdicts) {
  const lines = verdicts.map(({ aim, found, limit, unit, reached, boundBy }) => [aim, quantity(found, unit), `<= ${quantity(limit, unit)}`, reached ? 'reached' : 'MISSED', boundBy === '' ? '' : `bound by: ${boundBy}`]);
  return aligned([['aim', 'found', 'limit', '', ''], ...lines], [0, 3, 4]);
}

function aligned(lines, leftColumns) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) => line.map((cell, column) => (leftColumns.includes(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ').trimEnd()).join('\n');
}

const each = (ends, show) => Object.entries(ends).map(([end, value]) => `${end} ${show(value)}`).join(', ');
const megabytes = (bytes) => (bytes / MEGABYTE).toFixed(0);
const quantity = (value, unit) => (unit === 'MB' ? `${value.toFixed(0)} MB` : `${value.toFixed(2)} x`);
