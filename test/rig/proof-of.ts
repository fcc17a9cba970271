import { createReadStream } from 'node:fs';
import { meterOf, type ImageProof } from '../../protocol/image-proof.ts';

/** What a file really has where a sender says `proof`: it has to be equal to it. */
export async function proofOf(path: string, said: ImageProof): Promise<ImageProof> {
  const meter = meterOf(said);
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) meter.update(piece as Buffer);
  return { ...said, value: meter.result() };
}
