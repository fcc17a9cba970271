import { checkedDigest, type ImageDigest } from '../../image-service/image-digest.ts';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageSource } from '../drivers/deployment.ts';

/** Digests that others have learned to forge: taken, as Ironic does, but noted. */
const WEAK = ['md5', 'sha1'];
/** What a digest without a name is, by its length, as Ironic takes it. */
const BY_LENGTH: Readonly<Record<number, string>> = { 32: 'md5', 64: 'sha256', 128: 'sha512' };

export const isWeak = ({ algo }: ImageDigest): boolean => WEAK.includes(algo);

/**
 * The digest that `image_checksum` (hex, or `algo:hex`) or `image_os_hash_algo` and `image_os_hash_value` name.
 * @throws InvalidParameterError when there is none, or none that can be checked.
 */
export function expectedDigest({ hashAlgo, hashValue }: Pick<ImageSource, 'hashAlgo' | 'hashValue'>): ImageDigest {
  if (hashValue === null) throw new InvalidParameterError('An image that is given by a URL needs a digest: set instance_info image_checksum ("sha256:HEX"), or image_os_hash_algo and image_os_hash_value.');
  const prefixed = /^([a-z0-9-]+):(.*)$/is.exec(hashValue.trim());
  const value = (prefixed?.[2] ?? hashValue).trim().toLowerCase();
  return checkedDigest(hashAlgo ?? prefixed?.[1] ?? BY_LENGTH[value.length] ?? 'unknown', value);
}
