import { z } from 'zod';

/** What ipmi_sim can read between quotes, and holds. */
const word = z.string().regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,16}$/, 'expected 1 to 16 printable ASCII characters without quotes and backslashes');

/** An IPMI 2.0 BMC (ipmi_sim) in front of a machine, beside the rack's Redfish service. */
export const ipmiSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  /** UDP port; 0: any free one. */
  port: z.number().int().min(0).max(65_535).default(0),
  username: word,
  password: word,
  /** Kg key as ipmi_sim reads it: 16 bytes, in hexadecimal digits; the last four of its 20 bytes are zero. */
  kg_key: z.string().regex(/^[0-9a-f]{32}$/i, 'expected 32 hexadecimal digits').optional(),
});
