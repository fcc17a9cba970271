import { InvalidParameterError } from '../../protocol/errors.ts';

export type ImageFormat = 'qcow2' | 'raw';

const SUFFIXES: readonly (readonly [RegExp, ImageFormat])[] = [
  [/\.qcow2$/i, 'qcow2'],
  [/\.(raw|img)$/i, 'raw'],
];

/**
 * The format that an image is said to have, by name or by the suffix of its path. Whether it has it is for the data to tell.
 * @throws InvalidParameterError for a format that is not written, or when neither says one.
 */
export function declaredFormat(diskFormat: string | null, path?: string): ImageFormat {
  if (diskFormat === 'qcow2' || diskFormat === 'raw') return diskFormat;
  if (diskFormat !== null) throw new InvalidParameterError(`Images of format qcow2 and raw can be deployed, this one is said to be ${JSON.stringify(diskFormat)}: convert it with "qemu-img convert -O qcow2".`);
  const bySuffix = SUFFIXES.find(([pattern]) => path !== undefined && pattern.test(path))?.[1];
  if (bySuffix === undefined) throw new InvalidParameterError('The format of the image is not known: set instance_info image_disk_format to qcow2 or raw (its URL ends neither in .qcow2 nor in .raw or .img).');
  return bySuffix;
}
