import { ConflictError, ForbiddenError, InvalidParameterError } from '../../protocol/errors.ts';
import { IMAGE_PATCH_TYPE } from '../../protocol/image.ts';
import { checkQuotas, checkWritable, withProperty, withoutProperty, type ImageRecord } from './image-record.ts';
import { isBaseProperty } from './image-schema.ts';

/** The older dialect: `{"replace": "/name", "value": …}`. */
const OLD_PATCH_TYPE = 'application/openstack-images-v2.0-json-patch';
export const PATCH_TYPES = [IMAGE_PATCH_TYPE, OLD_PATCH_TYPE];

const OPERATIONS = ['add', 'replace', 'remove'] as const;
type Operation = { op: 'add' | 'replace'; property: string; value: unknown } | { op: 'remove'; property: string };

/**
 * The operations of a patch document, a JSON Patch (RFC 6902) with add, replace and remove of whole properties.
 * @throws InvalidParameterError for anything else.
 */
export function parsePatch(document: unknown, mediaType: string): Operation[] {
  if (!Array.isArray(document)) throw new InvalidParameterError('Request body must be a JSON array of operation objects.');
  return document.map((member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) throw new InvalidParameterError('Operations must be JSON objects.');
    const operation = member as Record<string, unknown>;
    const { op, path } = mediaType === OLD_PATCH_TYPE ? fromOldDialect(operation) : operation;
    if (!OPERATIONS.some((known) => known === op)) throw new InvalidParameterError(`Invalid operation: ${JSON.stringify(op)}. It must be one of the following: ${OPERATIONS.join(', ')}.`);
    const property = propertyOf(path);
    if (op === 'remove') return { op, property };
    if (!('value' in operation)) throw new InvalidParameterError(`Operation "${op as string}" requires a member named "value".`);
    return { op: op as 'add' | 'replace', property, value: operation.value };
  });
}

function fromOldDialect(operation: Record<string, unknown>): { op: unknown; path: unknown } {
  const found = OPERATIONS.filter((op) => op in operation);
  if (found.length !== 1 || found[0] === undefined) throw new InvalidParameterError('Operation objects must contain exactly one member named "add", "remove", or "replace".');
  return { op: found[0], path: operation[found[0]] };
}

/** The property that a JSON pointer (RFC 6901) of one step names. */
function propertyOf(pointer: unknown): string {
  if (typeof pointer !== 'string' || !pointer.startsWith('/')) throw new InvalidParameterError(`Pointer ${JSON.stringify(pointer)} does not start with "/".`);
  const name = pointer.slice(1);
  if (name.includes('/')) throw new InvalidParameterError(`Invalid JSON pointer for this resource: '${pointer}'`);
  if (/~(?![01])/.test(name)) throw new InvalidParameterError(`Pointer ${JSON.stringify(pointer)} contains "~" not part of a recognized escape sequence.`);
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}

/**
 * The record after all operations; all or none.
 * @throws ForbiddenError, ConflictError (a property to replace or remove does not exist), InvalidParameterError.
 */
export const applyPatch = (record: ImageRecord, operations: readonly Operation[]): ImageRecord => checkQuotas(operations.reduce(applyOperation, record));

function applyOperation(record: ImageRecord, operation: Operation): ImageRecord {
  const { op, property } = operation;
  checkWritable(property);
  const isBase = isBaseProperty(property);
  if ((property === 'disk_format' || property === 'container_format') && record.status !== 'queued') throw new ForbiddenError(`Attribute ${property} can be only replaced for a queued image.`);
  if (op !== 'add' && !isBase && !Object.hasOwn(record.properties, property)) throw new ConflictError(`Property ${property} does not exist.`);
  if (op !== 'remove') return withProperty(record, property, operation.value);
  if (isBase) throw new ForbiddenError(`Property ${property} cannot be removed: every image has it.`);
  return withoutProperty(record, property);
}
