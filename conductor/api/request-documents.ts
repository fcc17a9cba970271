import type { Request } from 'express';
import { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { UUID_PATTERN } from '../../protocol/provision.ts';

/** The request's body as the schema has it. @throws InvalidParameterError naming each member that is wrong. */
export function bodyOf<Schema extends z.ZodType>(request: Request, schema: Schema): z.output<Schema> {
  return check(schema, request.body ?? {}, 'request body');
}

/** The query as the schema has it; unknown and repeated parameters are refused. @throws InvalidParameterError */
export function queryOf<Shape extends z.ZodRawShape>(request: Request, shape: Shape): z.output<z.ZodObject<Shape>> {
  return check(z.strictObject(shape), request.query, 'query');
}

export function check<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ${issue.message}` : issue.message));
  throw new InvalidParameterError(`Invalid ${what}: ${problems.join('; ')}`, { problems });
}

const TRUE = ['1', 't', 'true', 'on', 'y', 'yes'];
const FALSE = ['0', 'f', 'false', 'off', 'n', 'no'];

/** A boolean, or one of the words that OpenStack takes for one. */
export const booleanLike = z.union([z.boolean(), z.string()]).transform((value, context) => {
  if (typeof value === 'boolean') return value;
  const word = value.trim().toLowerCase();
  if (TRUE.includes(word)) return true;
  if (FALSE.includes(word)) return false;
  context.addIssue({ code: 'custom', message: `expected a boolean, found ${JSON.stringify(value)}` });
  return z.NEVER;
});

export const uuidLike = z.string().regex(UUID_PATTERN, 'Expected a UUID').transform((uuid) => uuid.toLowerCase());
export const commaList = z.string().transform((text) => [...new Set(text.split(',').map((item) => item.trim()).filter((item) => item !== ''))]);
export const jsonObject = z.record(z.string(), z.json());
export const MAC_PATTERN = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;
export const macAddress = z.string().regex(MAC_PATTERN, 'Expected a MAC address').transform((address) => address.toLowerCase().replaceAll('-', ':'));

/** A name in Ironic's sense: RFC 3986's unreserved characters, and no UUID. @param reserved words that stand for something else in an address. */
export const logicalName = (reserved: readonly string[]): z.ZodString =>
  z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9._~-]+$/, 'expected letters, digits, "-", ".", "_" and "~" only')
    .refine((name) => !UUID_PATTERN.test(name), 'a name must not look like a UUID')
    .refine((name) => !reserved.includes(name), 'this word is reserved');
