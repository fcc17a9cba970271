import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isMacKey, STREAM_MAC_ALGO, StreamMac } from './stream-mac.ts';

const hex = (digits: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `expected ${digits} hex digits`);

/** By what a sender tells that an image is whole: the digest of a file that it had, or the authentication code of a stream that it made. */
export const imageProofSchema = z.discriminatedUnion('algo', [
  z.object({ algo: z.literal('sha512'), value: hex(128) }),
  z.object({ algo: z.literal(STREAM_MAC_ALGO), key: z.string().refine(isMacKey, 'expected a key of 64 hex digits'), value: hex(32) }),
]);
export type ImageProof = z.infer<typeof imageProofSchema>;

/** Finds, of data that it is fed with in order, what a proof has as its `value`. */
export interface ProofMeter {
  update(chunk: Buffer): void;
  /** Hex; once, at the end. */
  result(): string;
}

export function meterOf(proof: ImageProof): ProofMeter {
  if (proof.algo === STREAM_MAC_ALGO) return new StreamMac(proof.key);
  const digest = createHash(proof.algo);
  return { update: (chunk) => void digest.update(chunk), result: () => digest.digest('hex') };
}
