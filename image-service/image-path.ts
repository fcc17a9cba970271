import { InvalidParameterError } from '../protocol/errors.ts';
import { UUID_PATTERN } from '../protocol/provision.ts';

/**
 * The path of an image below the endpoint; an id is checked before it becomes part of a path.
 * @throws InvalidParameterError when the id is not a UUID.
 */
export function imagePath(imageId: string, below = ''): string {
  if (!UUID_PATTERN.test(imageId)) throw new InvalidParameterError(`${JSON.stringify(imageId)} is not an image id: expected a UUID, as "image list" shows it`, { image: imageId });
  return `/v2/images/${imageId}${below}`;
}

/** The endpoint without a trailing slash or version, whichever way it was configured. */
export const normalizeEndpoint = (url: string): string => url.replace(/\/+$/, '').replace(/\/v2(\.\d+)?$/, '');
