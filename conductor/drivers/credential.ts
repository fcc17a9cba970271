import { createHash, randomBytes } from 'node:crypto';

const PASSWORD_BYTES = 32;

/** What is stored of a machine's password: enough to recognise it, useless to whoever reads the database. */
export const hashCredential = (password: string): string => createHash('sha256').update(password).digest('hex');

/** A random password for one machine's work, and what is stored of it. */
export function newCredential(): { password: string; hash: string } {
  const password = randomBytes(PASSWORD_BYTES).toString('base64url');
  return { password, hash: hashCredential(password) };
}
