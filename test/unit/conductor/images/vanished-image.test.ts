import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import { DestinationImages } from '../../../../conductor/images/destinations/destination-images.ts';
import { createDestinations } from '../../../../conductor/images/destinations/destinations.ts';
import { dataOf } from '../../../rig/image-data.ts';

test('an image that is gone as soon as it was written is no success, and worth another try', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-vanished-'));
  try {
    const { open } = createDestinations({ fileRoots: [directory], https: [], times: { timeoutMs: 1_000, stallTimeoutMs: 1_000, answerTimeoutMs: 1_000 } });
    const ref = pathToFileURL(join(directory, 'image.qcow2')).href;
    const place = open(ref);
    const images = new DestinationImages(() => ({
      ...place,
      write: async (...asked) => {
        const outcome = await place.write(...asked);
        await rm(join(directory, 'image.qcow2')); // somebody else does
        return outcome;
      },
    }));
    await expect(images.upload(ref, dataOf([Buffer.from('image')]), 5, { signal: AbortSignal.timeout(10_000) })).rejects.toMatchObject({ data: expect.objectContaining({ retryable: true }) });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
