import { fileURLToPath } from 'node:url';

/** The built programs, as users run them; the set-up builds them before any test. */
export const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
