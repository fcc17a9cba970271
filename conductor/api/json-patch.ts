import jsonPatch from 'fast-json-patch';
import { z } from 'zod';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { Json, JsonObject } from '../../protocol/json.ts';
import { refuseDeepNesting } from './nesting.ts';

/** RFC 6902 as far as Ironic takes it: no `test`, `move` or `copy`. */
export const jsonPatchSchema = z
  .array(
    z
      .strictObject({ op: z.enum(['add', 'replace', 'remove']), path: z.string().regex(/^\/[^/]+/, 'expected /field or /field/member'), value: z.json().optional() })
      .refine(({ op, value }) => op === 'remove' || value !== undefined, { error: 'a value is required', path: ['value'] }),
  )
  .min(1, 'expected at least one operation');
export type JsonPatch = z.output<typeof jsonPatchSchema>;

/** The field of the resource that an operation is about. */
export const fieldOf = ({ path }: JsonPatch[number]): string => jsonPatch.unescapePathComponent(path.split('/')[1] ?? '');

/**
 * The document with the operations applied in order; the given one stays as it is.
 * @throws InvalidParameterError naming the operation that cannot be applied, for example the removal of what is missing.
 */
export function applyJsonPatch(document: JsonObject, patch: JsonPatch): JsonObject {
  let patched: JsonObject = structuredClone(document);
  for (const { op, path, value } of patch) {
    const operation = op === 'remove' ? { op, path } : { op, path, value: value as Json };
    try {
      patched = jsonPatch.applyOperation(patched, operation, true).newDocument;
    } catch (error) {
      const reason = messageOf(error).split('\n')[0];
      throw new InvalidParameterError(`Couldn't apply patch '${op} ${path}'. Reason: ${reason}`, { op, path }, error);
    }
  }
  refuseDeepNesting(patched, 'patch'); // also where many small requests would build it
  return patched;
}
