/** What the project aims at; see docs/benchmarks.md. */
const AIMS = { cpuRatio: 10, startMs: 1000, residentBytes: 120e6 };
const MEGABYTE = 1e6;

/** Middle value; of an even number of values the mean of the two in the middle. */
export function median(values) {
  if (values.length === 0) throw new Error('the median of nothing was asked for');
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Medians over the rounds, with the ratio of Ironic's figure to ours where there are both.
 * @returns {{figure: string, unit: string, metalshot: number, ironic?: number, ratio?: number, aim?: string, reached?: boolean}[]}
 */
export function summarize({ starts, memory, rounds }) {
  const rows = [];
  for (const scenario of new Set(rounds.map((measured) => measured.scenario))) {
    for (const [figure, property] of [['CPU', 'cpuMs'], ['wall', 'wallMs']]) {
      const row = compare(`${scenario}: ${figure}`, 'ms', rounds.filter((measured) => measured.scenario === scenario), property);
      if (figure === 'CPU' && row.ratio !== undefined) Object.assign(row, { aim: `1/${AIMS.cpuRatio} of Ironic's`, reached: row.ratio >= AIMS.cpuRatio });
      rows.push(row);
    }
  }
  const start = compare('cold start', 'ms', starts, 'startMs');
  rows.push({ ...start, aim: `< ${AIMS.startMs} ms`, reached: start.metalshot < AIMS.startMs });
  for (const nodes of new Set(memory.map((look) => look.nodes))) {
    const row = compare(nodes === 0 ? 'RSS, idle' : `RSS, ${nodes} nodes, after a round of all this`, 'MB', memory.filter((look) => look.nodes === nodes).map((look) => ({ ...look, megabytes: look.residentBytes / MEGABYTE })), 'megabytes');
    rows.push({ ...row, aim: `< ${AIMS.residentBytes / MEGABYTE} MB`, reached: row.metalshot < AIMS.residentBytes / MEGABYTE });
  }
  return rows;
}

function compare(figure, unit, measured, property) {
  const of = (server) => measured.filter((one) => one.server === server).map((one) => one[property]);
  const [ours, theirs] = [median(of('metalshot')), of('ironic')];
  return { figure, unit, metalshot: ours, ...(theirs.length === 0 ? {} : { ironic: median(theirs), ratio: median(theirs) / ours }) };
}

/** The rows as a table of text. */
export function table(rows) {
  const lines = [
    ['', 'Metalshot', 'Ironic', 'ratio', 'aim', ''],
    ...rows.map(({ figure, unit, metalshot, ironic, ratio, aim, reached }) => [figure, quantity(metalshot, unit), ironic === undefined ? '-' : quantity(ironic, unit), ratio === undefined ? '-' : ratio.toFixed(1), aim ?? '', aim === undefined ? '' : reached ? 'reached' : 'MISSED']),
  ];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) => line.map((cell, column) => (column === 0 || column > 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ').trimEnd()).join('\n');
}

const quantity = (value, unit) => `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
