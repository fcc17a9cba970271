import { fieldsOf, labelOf } from './columns.ts';
import { UsageError } from './exit-code.ts';
import { drawTable, type Cell } from './table.ts';
import { widthOf } from './text-width.ts';

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
  /** Cells of the terminal behind stdout; undefined: there is none, and nothing is wrapped or left out. */
  width: number | undefined;
}

/** Puts the fields of a thing into sections, in which a person finds them. */
export type Sections = (fields: readonly string[]) => string[][];

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

  /**
   * One thing: its fields by name, sorted. `tableExtras` are for the eye only: they appear in the format table alone.
   * On a terminal a table has `sections`, and names the fields without a value in one line.
   */
  record(record: Row, tableExtras: Row = {}, sections?: Sections): void {
    const shown = this.settings.format === 'table' ? { ...record, ...tableExtras } : record;
    const fields = this.chooseColumns(fieldsOf([shown]), (field) => field);
    if (this.isJson) this.json(pick(shown, fields));
    else if (this.settings.format === 'value') for (const field of fields) this.text(this.bare(shown[field]));
    else this.text(drawTable(['Field', 'Value'], this.sectionsOf(shown, fields, sections), this.settings.width));
  }

  /**
   * A list of things, one row each. JSON members are named by the headings, as in the stock client. On a terminal that is too
   * narrow for so many columns the things stand below each other, with their fields as `record` has them.
   */
  rows(rows: readonly Row[], fields: readonly string[], labels: Readonly<Record<string, string>> = {}): void {
    const label = (field: string): string => labels[field] ?? labelOf(field);
    const chosen = this.chooseColumns(fields, label);
    if (this.isJson) this.json(rows.map((row) => Object.fromEntries(chosen.map((field) => [label(field), row[field] ?? null]))));
    else if (this.settings.format === 'value') for (const row of rows) this.text(chosen.map((field) => this.bare(row[field])).join(' '));
    else if (rows.length > 0) this.text(this.tableOf(rows, chosen, label));
    else if (this.settings.width !== undefined) this.say('there are none');
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

  private tableOf(rows: readonly Row[], fields: readonly string[], label: (field: string) => string): string {
    const { width } = this.settings;
    const table = drawTable(fields.map(label), [rows.map((row) => fields.map((field) => cellOf(row[field])))], width);
    if (width === undefined || widthOf(table.slice(0, table.indexOf('\n'))) <= width) return table;
    const things = rows.map((row) => Object.fromEntries(fields.map((field) => [label(field), row[field]])));
    return drawTable(['Field', 'Value'], things.map((thing) => this.sectionsOf(thing, fields.map(label), (names) => [[...names]]).flat()), width);
  }

  /** For a program every byte as it is; for a terminal nothing that plays with it. */
  private bare(value: unknown): string {
    return this.stdout.isTTY ? printable(plainText(value)) : plainText(value);
  }

  private chooseColumns(fields: readonly string[], label: (field: string) => string): string[] {
    const wanted = this.settings.columns;
    if (wanted.length === 0) return [...fields];
    const answersTo = (field: string, column: string): boolean => [field, label(field)].some((name) => name.toLowerCase() === column.toLowerCase());
    const unknown = wanted.filter((column) => !fields.some((field) => answersTo(field, column)));
    if (unknown.length > 0) throw new UsageError(`-c: no column ${unknown.map((column) => `"${column}"`).join(', ')}; there are ${fields.map(label).join(', ') || 'none'}`);
    return fields.filter((field) => wanted.some((column) => answersTo(field, column)));
  }

  private sectionsOf(record: Row, fields: readonly string[], sections: Sections | undefined): Cell[][][] {
    const rowOf = (field: string): Cell[] => [field, cellOf(record[field])];
    if (this.settings.width === undefined || this.settings.columns.length > 0 || sections === undefined) return [fields.map(rowOf)];
    const empty = fields.filter((field) => isEmpty(record[field]));
    const filled = sections(fields.filter((field) => !empty.includes(field))).map((names) => names.map(rowOf));
    return empty.length === 0 ? filled : [...filled, [['(without value)', empty.join(', ')]]];
  }
}

const isEmpty = (value: unknown): boolean => value === null || value === undefined || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);

/** Nested values stand in one line where it fits, else as JSON with a line for each member. */
function cellOf(value: unknown): Cell {
  const text = printable(plainText(value));
  if (typeof value !== 'object' || value === null) return text;
  return (width) => (width === undefined || text.length <= width ? text : printable(JSON.stringify(value, null, 2)));
}

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
