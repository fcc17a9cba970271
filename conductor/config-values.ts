import { z } from 'zod';

/** What values in the configuration may be, wherever they stand. */
export const GIB = 1024 ** 3;
export const port = z.number().int().min(0).max(65_535);
/** Node's timers end at 2^31 ms (24 days), and phases add up to five of these. */
export const seconds = z.number().positive().max(400_000);
export const tls = z.union([z.enum(['none', 'self-signed']), z.strictObject({ certificate: z.string(), key: z.string() })]);
export const network = z.union([z.cidrv4(), z.cidrv6()]);
