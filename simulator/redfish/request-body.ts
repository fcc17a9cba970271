import type { Request, Response } from 'express';
import type { z } from 'zod';
import { sendError } from './errors.ts';

/** The body as the schema has it, or null after a 400 that names the first wrong member. */
export function readBody<T>(schema: z.ZodType<T>, request: Request, response: Response): T | null {
  const parsed = schema.safeParse(request.body ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const pointer = `#/${[...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join('/')}`;
  sendError(response, 400, unknown === undefined ? 'PropertyValueNotInList' : 'PropertyUnknown', `${pointer}: ${issue?.message ?? 'not acceptable'}`, [pointer]);
  return null;
}
