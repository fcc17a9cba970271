import type { RequestHandler } from 'express';
import { InvalidParameterError } from '../../protocol/errors.ts';

/** Deeper than any document that people or programs send; what walks through a document may then call itself for each level. */
const MAX_DEPTH = 100;

/** @throws InvalidParameterError for a document in which objects and arrays stand within each other more than a hundred times. */
export function refuseDeepNesting(document: unknown, what: string): void {
  let level: unknown[] = [document];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) throw new InvalidParameterError(`Invalid ${what}: objects and arrays are nested more than ${MAX_DEPTH} levels deep`);
    level = level.flatMap((value): unknown[] => (isObject(value) ? Object.values(value).filter(isObject) : []));
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** For what the body parser has read: before anything looks into it. */
export const refuseDeepBodies: RequestHandler = (request, _response, next) => {
  refuseDeepNesting(request.body, 'request body');
  next();
};
