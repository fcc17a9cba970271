import { InvalidParameterError } from '../../../protocol/errors.ts';
import { parseImageRef } from '../../../protocol/image-ref.ts';
import type { Destination } from './destination.ts';
import { DestinationImages } from './destination-images.ts';
import { fileDestination } from './file-destination.ts';
import { httpsDestination, type HttpsPlace, type TransferTimes } from './https-destination.ts';
import { S3Access, type S3Store } from './s3-access.ts';
import { S3Destination } from './s3-destination.ts';

export interface DestinationsOptions {
  /** Directories into which images may be written. */
  fileRoots: readonly string[];
  https: readonly HttpsPlace[];
  s3?: S3Store;
  times: TransferTimes;
}

/** The places outside the image service that the configuration allows, and none but them. */
export function createDestinations({ fileRoots, https, s3, times }: DestinationsOptions): { images: DestinationImages; open(ref: string): Destination } {
  const access = s3 && new S3Access(s3, times);
  const open = (ref: string): Destination => {
    const named = parseImageRef(ref);
    if (named.kind === 'file') return fileDestination(named.url, fileRoots);
    if (named.kind === 'https') return httpsDestination(named.url, https, times);
    if (named.kind === 's3' && s3 && access) return new S3Destination(named.url, s3.buckets, access, times);
    throw new InvalidParameterError(`No snapshot is written to ${ref}: snapshot.s3 is not configured.`, { destination: ref });
  };
  return { images: new DestinationImages(open), open };
}
