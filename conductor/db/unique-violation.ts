import { QueryFailedError } from 'typeorm';

/** Whether a statement failed because a unique index refused it: sqlite's SQLITE_CONSTRAINT with its text, or SQLSTATE 23505. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof QueryFailedError)) return false;
  const cause = error.driverError as Error & { code?: string };
  return cause.code === '23505' || (cause.code === 'SQLITE_CONSTRAINT' && cause.message.includes('UNIQUE'));
}
