/** Root device hints: the agent chooses a disk by them, the conductor's plan tells beforehand which one that would be. */
import { InvalidParameterError } from './errors.ts';

/** What hints can ask of a disk. What is not known is null, and matches no hint. */
export interface HintedDevice {
  /** For example /dev/sda. */
  name: string;
  sizeBytes: number;
  rotational: boolean;
  model: string | null;
  vendor: string | null;
  serial: string | null;
  wwn: string | null;
  wwnWithExtension: string | null;
  wwnVendorExtension: string | null;
  /** SCSI host:channel:target:lun. */
  hctl: string | null;
  /** For example /dev/disk/by-path/pci-0000:00:17.0-ata-1. */
  byPath: string | null;
}

type HintValue = string | number | boolean;
type HintKind = 'text' | 'number' | 'boolean';

const GIB = 1024 ** 3;

/** Ironic's hints (its "Specifying the disk for deployment" guide): what each compares. */
const HINTS: Readonly<Record<string, { kind: HintKind; of: (device: HintedDevice) => string | number | boolean | null }>> = {
  name: { kind: 'text', of: (device) => device.name },
  model: { kind: 'text', of: (device) => device.model },
  vendor: { kind: 'text', of: (device) => device.vendor },
  serial: { kind: 'text', of: (device) => device.serial },
  wwn: { kind: 'text', of: (device) => device.wwn },
  wwn_with_extension: { kind: 'text', of: (device) => device.wwnWithExtension },
  wwn_vendor_extension: { kind: 'text', of: (device) => device.wwnVendorExtension },
  hctl: { kind: 'text', of: (device) => device.hctl },
  by_path: { kind: 'text', of: (device) => device.byPath },
  size: { kind: 'number', of: (device) => device.sizeBytes / GIB },
  rotational: { kind: 'boolean', of: (device) => device.rotational },
};

/** `=` means "at least", for the sake of old hints, as Ironic documents it. */
const NUMBER_OPERATORS: Readonly<Record<string, (found: number, wanted: number) => boolean>> = {
  '=': (found, wanted) => found >= wanted,
  '==': (found, wanted) => found === wanted,
  '!=': (found, wanted) => found !== wanted,
  '<=': (found, wanted) => found <= wanted,
  '>=': (found, wanted) => found >= wanted,
  '<': (found, wanted) => found < wanted,
  '>': (found, wanted) => found > wanted,
};
const TEXT_OPERATORS: Readonly<Record<string, (found: string, wanted: string) => boolean>> = {
  's==': (found, wanted) => found === wanted,
  's!=': (found, wanted) => found !== wanted,
  's<=': (found, wanted) => found <= wanted,
  's>=': (found, wanted) => found >= wanted,
  's<': (found, wanted) => found < wanted,
  's>': (found, wanted) => found > wanted,
  '<in>': (found, wanted) => found.includes(wanted),
};
/** Longer ones first, so that `=` is not found in `==`. */
const OPERATORS = ['<all-in>', '<or>', '<in>', ...Object.keys({ ...NUMBER_OPERATORS, ...TEXT_OPERATORS })].toSorted((a, b) => b.length - a.length);

/** Whether a device fits one hint. */
type Matcher = (device: HintedDevice) => boolean;

/**
 * Compiles hints into one question about a device: all of them must match, texts compared in lower case.
 * @throws InvalidParameterError for an unknown hint, an empty expression, or an operator that does not go with the hint.
 */
export function compileHints(hints: Readonly<Record<string, HintValue>>): Matcher {
  const matchers = Object.entries(hints).map(([name, expression]) => compileHint(name, expression));
  return (device) => matchers.every((matches) => matches(device));
}

/** The serial number and WWN (in lower case) by which hints name one very disk; empty when they name none so, or make no sense. */
export function identityHints(hints: Readonly<Record<string, unknown>> | null): { serial?: string; wwn?: string } {
  const named = (['serial', 'wwn'] as const).map((name) => {
    const hint = hints?.[name];
    const wanted = typeof hint === 'string' || typeof hint === 'number' ? String(hint).trim().toLowerCase().replace(/^s==\s*/, '') : '';
    return [name, OPERATORS.some((operator) => wanted.startsWith(operator)) ? '' : wanted] as const;
  });
  return Object.fromEntries(named.filter(([, wanted]) => wanted !== ''));
}

/**
 * Whether hints name a disk by its very serial number or WWN, and one that this is not known to be: who does that means
 * that disk (a replaced one, for example), whatever was there before.
 */
export function namesAnotherDisk(hints: Readonly<Record<string, unknown>> | null, known: Pick<HintedDevice, 'serial' | 'wwn'>): boolean {
  const { serial, wwn } = identityHints(hints);
  const differs = (wanted: string | undefined, fact: string | null): boolean => wanted !== undefined && wanted !== fact?.trim().toLowerCase();
  return differs(serial, known.serial) || differs(wwn, known.wwn);
}

function compileHint(name: string, expression: HintValue): Matcher {
  const hint = HINTS[name];
  if (!hint) throw new InvalidParameterError(`root_device: unknown hint "${name}", expected one of ${Object.keys(HINTS).join(', ')}`);
  if (hint.kind === 'boolean') {
    const wanted = parseBoolean(name, expression);
    return (device) => hint.of(device) === wanted;
  }
  const { operator, operands } = parseExpression(name, expression, hint.kind);
  const compare = hint.kind === 'number' || operator in NUMBER_OPERATORS ? compileNumber(name, operator, operands) : compileText(operator, operands);
  return (device) => {
    const found = hint.of(device);
    return found !== null && compare(String(found).trim().toLowerCase());
  };
}

function parseExpression(name: string, expression: HintValue, kind: HintKind): { operator: string; operands: string[] } {
  const text = String(expression).trim().toLowerCase();
  const operator = OPERATORS.find((each) => text.startsWith(each)) ?? (kind === 'number' ? '==' : 's==');
  const rest = text.startsWith(operator) ? text.slice(operator.length).trim() : text;
  const operands = operator === '<or>' ? rest.split('<or>').map((each) => each.trim()) : operator === '<all-in>' ? rest.split(/\s+/) : [rest];
  if (operands.some((operand) => operand === '')) throw new InvalidParameterError(`root_device: the hint "${name}" is empty or lacks a value: "${String(expression)}"`);
  return { operator, operands };
}

function compileText(operator: string, operands: readonly string[]): (found: string) => boolean {
  if (operator === '<or>') return (found) => operands.includes(found);
  if (operator === '<all-in>') return (found) => operands.every((operand) => found.includes(operand));
  const compare = TEXT_OPERATORS[operator]!;
  return (found) => compare(found, operands[0]!);
}

function compileNumber(name: string, operator: string, operands: readonly string[]): (found: string) => boolean {
  const wanted = operands.map(Number);
  if (wanted.some(Number.isNaN)) throw new InvalidParameterError(`root_device: the hint "${name}" needs a number after "${operator}", found "${operands.join(' ')}"`);
  if (operator === '<or>') return (found) => wanted.includes(Number(found));
  const compare = NUMBER_OPERATORS[operator];
  if (!compare) throw new InvalidParameterError(`root_device: the hint "${name}" is a number, "${operator}" compares texts; use one of ${Object.keys(NUMBER_OPERATORS).join(' ')}`);
  return (found) => compare(Number(found), wanted[0]!);
}

function parseBoolean(name: string, expression: HintValue): boolean {
  const text = String(expression).trim().toLowerCase();
  if (['true', 't', '1', 'yes', 'y', 'on'].includes(text)) return true;
  if (['false', 'f', '0', 'no', 'n', 'off'].includes(text)) return false;
  throw new InvalidParameterError(`root_device: the hint "${name}" needs true or false, found "${text}"`);
}
