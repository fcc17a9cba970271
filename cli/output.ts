import Table from 'cli-table3';
import { fieldsOf, labelOf } from './columns.ts';
import { UsageError } from './exit-code.ts';

/** The part of a process stream that is needed; `isTTY` and `columns` as in node:tty. */
export type OutputStream = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
export type OutputFormat = 'json' | 'table' | 'value';
export const OUTPUT_FORMATS: readonly OutputFormat[] = ['table', 'json', 'value'];
type Row = Readonly<Record<string, unknown>>;

export interface OutputSettings {
  format: OutputFormat;
  /** Columns asked for with `-c`; empty: all. */
  columns: readonly string[];
  debug: boolean;
}

/** The only way to the person: data on stdout, talk (progress, notices, errors) on stderr. */
export class Output {
  readonly settings: OutputSettings;
  private readonly stdout: OutputStream;
  private readonly stderr: OutputStream;
  private liveLine = false;

  constructor(stdout: OutputStream, stderr: OutputStream, settings: OutputSettings) {
    this.stdout = stdout;
    this.stderr = stderr;
    this.settings = settings;
  }

  get isJson(): boolean {
    return this.settings.format === 'json';
  }

  /** Where progress bars are drawn. */
  get talkStream(): OutputStream {
    return this.stderr;
  }

  get dataStream(): OutputStream {
    return this.stdout;
  }

  /** Text that was asked for, such as help. */
  text(text: string): void {
    this.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  json(value: unknown): void {
    this.text(JSON.stringify(value, null, 2));
  }

  /** One thing: its fields by name, sorted. `tableExtras` are for the eye only: they appear in the format table alone. */
  record(record: Row, tableExtras: Row = {}): void {
    const shown = this.settings.format === 'table' ? { ...record, ...tableExtras } : record;
    const fields = this.chooseColumns(fieldsOf([shown]), (field) => field);
    if (this.isJson) this.json(pick(shown, fields));
    else if (this.settings.format === 'value') for (const field of fields) this.text(plainText(shown[field]));
    else this.text(this.drawTable(['Field', 'Value'], fields.map((field) => [field, shown[field]]), true));
  }

  /** A list of things, one row each. JSON members are named by the headings, as in the stock client. */
  rows(rows: readonly Row[], fields: readonly string[], labels: Readonly<Record<string, string>> = {}): void {
    const label = (field: string): string => labels[field] ?? labelOf(field);
    const chosen = this.chooseColumns(fields, label);
    if (this.isJson) this.json(rows.map((row) => Object.fromEntries(chosen.map((field) => [label(field), row[field] ?? null]))));
    else if (this.settings.format === 'value') for (const row of rows) this.text(chosen.map((field) => plainText(row[field])).join(' '));
    else if (rows.length > 0) this.text(this.drawTable(chosen.map(label), rows.map((row) => chosen.map((field) => row[field])), false));
  }

  /** A sentence for the person. */
  say(sentence: string): void {
    this.stderr.write(`${this.liveLine ? '\r\u001b[K' : ''}${printable(sentence)}\n`);
  }

  /** Why the command ends without success. */
  problem(message: string): void {
    this.say(`baremetal: ${message}`);
  }

  debug(line: string): void {
    if (this.settings.debug) this.say(`debug: ${line}`);
  }

  /** While a progress bar stands in the last line, talk overwrites it (it is drawn again) instead of mixing with it. */
  setLiveLine(live: boolean): void {
    this.liveLine = live;
  }

  private chooseColumns(fields: readonly string[], label: (field: string) => string): string[] {
    const wanted = this.settings.columns;
    if (wanted.length === 0) return [...fields];
    const answersTo = (field: string, column: string): boolean => [field, label(field)].some((name) => name.toLowerCase() === column.toLowerCase());
    const unknown = wanted.filter((column) => !fields.some((field) => answersTo(field, column)));
    if (unknown.length > 0) throw new UsageError(`-c: no column ${unknown.map((column) => `"${column}"`).join(', ')}; there are ${fields.map(label).join(', ') || 'none'}`);
    return fields.filter((field) => wanted.some((column) => answersTo(field, column)));
  }

  private drawTable(head: readonly string[], rows: readonly (readonly unknown[])[], wrapLast: boolean): string {
    const cells = rows.map((row) => row.map((value) => printable(plainText(value))));
    const columns = this.stdout.isTTY && wrapLast ? this.stdout.columns : undefined;
    const others = Math.max(...[head, ...cells].map((row) => row[0]?.length ?? 0));
    const lastWidth = columns === undefined ? null : Math.max(columns - others - 6, 20);
    const widest = Math.max(0, ...cells.flatMap((row) => (row[1] ?? '').split('\n').map((line) => line.length)));
    const table = new Table({
      head: [...head],
      style: { head: [], border: [] },
      chars: ASCII_BORDER,
      ...(lastWidth !== null && widest + 2 > lastWidth ? { colWidths: [null, lastWidth], wordWrap: true, wrapOnWordBoundary: false } : {}),
    });
    table.push(...cells);
    const lines = table.toString().split('\n');
    return [...lines.slice(0, 2), lines[0], ...lines.slice(2)].join('\n'); // cli-table3 rules off every row or none: the head is ruled off here
  }
}

const ASCII_BORDER = {
  top: '-', 'top-mid': '+', 'top-left': '+', 'top-right': '+',
  bottom: '-', 'bottom-mid': '+', 'bottom-left': '+', 'bottom-right': '+',
  left: '|', 'left-mid': '', mid: '', 'mid-mid': '', right: '|', 'right-mid': '', middle: '|',
};

/** As the stock client prints values outside of JSON: None, True, False; nested ones as compact JSON. */
export function plainText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}

/** Control characters would let a name or an error message of the service play with the terminal. */
const CONTROL_CHARACTERS = /(?![\n\t])\p{Cc}/gu;
const printable = (text: string): string => text.replace(/\r\n/g, '\n').replace(CONTROL_CHARACTERS, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

function pick(row: Row, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, row[field] ?? null]));
}
