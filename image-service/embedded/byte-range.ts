import { InvalidParameterError } from '../../protocol/errors.ts';
import { rangeNotSatisfiable } from './refusal.ts';

/** First and last byte, both included. */
export interface ByteRange {
  first: number;
  last: number;
}

/**
 * The part that a `Range` header (RFC 9110, 14.2) asks for of `sizeBytes`; undefined without the header.
 * @throws MetalshotError: 416 when there is no such part, 400 for several.
 */
export function parseByteRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  if (header === undefined) return undefined;
  if (header.includes(',')) throw new InvalidParameterError('Requests with multiple ranges are not supported. You may make multiple single-range requests instead.');
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header.trim()) ?? [];
  if (from === '' && to === '') throw rangeNotSatisfiable();
  const range = from === '' ? { first: Math.max(sizeBytes - Number(to), 0), last: sizeBytes - 1 } : { first: Number(from), last: to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1) };
  if (range.first > range.last || range.first >= sizeBytes) throw rangeNotSatisfiable();
  return range;
}
