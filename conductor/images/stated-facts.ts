import type { ImageFacts, ImageSource } from '../drivers/deployment.ts';
import { declaredFormat } from './declared-format.ts';
import { expectedDigest } from './expected-digest.ts';

/**
 * What whoever names an image at a URL says of it; nobody else keeps anything of such an image but its size, which is to be added.
 * @throws InvalidParameterError at once, before anybody is asked for the size.
 */
export function statedFacts(source: ImageSource, { pathname }: URL): (sizeBytes: number | null) => ImageFacts {
  const diskFormat = declaredFormat(source.diskFormat, pathname);
  const { algo, value } = expectedDigest(source);
  return (sizeBytes) => ({
    source: source.source,
    name: null,
    diskFormat,
    sizeBytes,
    virtualSizeBytes: diskFormat === 'raw' ? sizeBytes : null,
    minDiskBytes: 0,
    hashAlgo: algo,
    hashValue: value,
    manifest: null,
    bootMode: null,
  });
}
