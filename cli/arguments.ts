import { UsageError } from './exit-code.ts';

/** The values of a parsed command line, by option or positional name; of an option given twice the last one counts. */
export class Arguments {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values;
  }

  text(name: string): string | undefined {
    const value = this.last(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** @throws UsageError when absent or blank. */
  required(name: string): string {
    const value = this.text(name);
    if (value === undefined || value.trim() === '') throw new UsageError(`${name} must not be empty`);
    return value;
  }

  /** All values of a repeatable option, in order; none when it was not given. */
  texts(name: string): string[] {
    const value = this.values[name];
    return (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(String);
  }

  /** Field names given as words, with commas, or both. */
  fields(name: string): string[] {
    const given = this.values[name] !== undefined;
    const fields = this.texts(name).flatMap((word) => word.split(',')).filter((field) => field !== '');
    if (given && fields.length === 0) throw new UsageError(`--${name} expects at least one field`);
    return fields;
  }

  /** True or false as given (`--x`, `--no-x`), undefined when not given. */
  flag(name: string): boolean | undefined {
    const value = this.last(name);
    return typeof value === 'boolean' ? value : undefined;
  }

  /**
   * A number not below `minimum`; undefined when not given.
   * @throws UsageError for anything else.
   */
  number(name: string, minimum = 0): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseNumber(text, `--${name}`, minimum);
  }

  /** As `number`, without fractions. */
  integer(name: string, minimum = 0): number | undefined {
    const value = this.number(name, minimum);
    if (value !== undefined && !Number.isSafeInteger(value)) throw new UsageError(`--${name} expects a whole number, got "${value}"`);
    return value;
  }

  private last(name: string): unknown {
    const value = this.values[name];
    return Array.isArray(value) ? value.at(-1) : value;
  }
}

/** @throws UsageError unless `text` is a plain decimal number, `minimum` or more. */
export function parseNumber(text: string, option: string, minimum: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(value >= minimum)) throw new UsageError(`${option} expects a number${minimum > 0 ? ` of ${minimum} or more` : ''}, got "${text}"`);
  return value;
}
