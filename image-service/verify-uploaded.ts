import { OperationFailedError } from '../protocol/errors.ts';
import { IMAGE_HASH_ALGO, type Image } from '../protocol/image.ts';

export interface ExpectedImage {
  sizeBytes: number;
  /** Hex sha512 of the data. */
  osHashValue: string;
}

/**
 * Proves that the image holds exactly the expected data, by what the image service computed itself: the service accepts
 * empty, cut and mislabelled data without a word.
 * @throws OperationFailedError naming every difference, also in `data.differences`.
 */
export function verifyUploaded(image: Readonly<Image> | null, expected: ExpectedImage): void {
  if (image === null) throw new OperationFailedError('The image does not exist any more: it was deleted after the upload', { differences: ['missing'], imageStatus: 'missing' });
  const differences = [
    difference('status', 'active', image.status),
    difference('size', expected.sizeBytes, image.size),
    difference('os_hash_algo', IMAGE_HASH_ALGO, image.os_hash_algo),
    difference('os_hash_value', expected.osHashValue.toLowerCase(), image.os_hash_value?.toLowerCase() ?? null),
  ].filter((text) => text !== undefined);
  if (differences.length > 0) {
    throw new OperationFailedError(`Image ${image.id} does not hold the data that was sent: ${differences.join('; ')}`, { image: image.id, differences, imageStatus: image.status });
  }
}

const difference = (name: string, expected: string | number, found: string | number | null): string | undefined =>
  expected === found ? undefined : `${name}: expected ${expected}, found ${found ?? 'none'}`;
