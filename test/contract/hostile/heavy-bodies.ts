import { gzipSync } from 'node:zlib';

const DEEP = 20_000;
/** Below what a parser or a database takes, beyond what recursion does. */
const DEEP_ENOUGH = 3_000;
const nested = (open: string, close: string, depth = DEEP): string => `${open.repeat(depth)}1${close.repeat(depth)}`;

/** Bodies that are too large to come by chance: nested without end, oversized, a small archive of much, many members. */
export const HEAVY_BODIES: Readonly<Record<string, { body: Buffer; headers: Record<string, string> }>> = {
  'objects nested without end': { body: Buffer.from(`{"driver":"fake-hardware","extra":${nested('{"a":', '}')}}`), headers: {} },
  'arrays nested without end': { body: Buffer.from(`{"driver":"fake-hardware","extra":{"a":${nested('[', ']')}}}`), headers: {} },
  'an unknown member nested without end': { body: Buffer.from(`{"target":"manage","unknown":${nested('[', ']')}}`), headers: {} },
  'arrays and nothing else': { body: Buffer.from(nested('[', ']')), headers: {} },
  'objects nested far': { body: Buffer.from(`{"driver":"fake-hardware","extra":{"deep":${nested('{"a":', '}', DEEP_ENOUGH)}}}`), headers: {} },
  'a patch with a value nested without end': { body: Buffer.from(`[{"op":"add","path":"/extra/deep","value":${nested('[', ']')}}]`), headers: {} },
  'a patch with an endless pointer': { body: Buffer.from(`[{"op":"add","path":"${'/extra'.repeat(50_000)}","value":1}]`), headers: {} },
  'a patch of very many operations': { body: Buffer.from(JSON.stringify(Array.from({ length: 20_000 }, () => ({ op: 'add', path: '/extra/x', value: 1 })))), headers: {} },
  'very many members': { body: Buffer.from(`{${Array.from({ length: 50_000 }, (_, index) => `"k${index}":1`).join(',')}}`), headers: {} },
  'more than the limit': { body: Buffer.from(JSON.stringify({ driver: 'fake-hardware', extra: { long: 'x'.repeat(1_100_000) } })), headers: {} },
  'a small archive of much': { body: gzipSync(Buffer.alloc(30_000_000, 0x20)), headers: { 'Content-Encoding': 'gzip' } },
  'a long number': { body: Buffer.from(`{"driver":"fake-hardware","extra":{"n":${'9'.repeat(500_000)}}}`), headers: {} },
};
