import { MetalshotError } from '../../protocol/errors.ts';

/** A refusal with a status that only the image service uses. */
export const refusal = (status: number, code: string, message: string): MetalshotError => new MetalshotError(code, status, message);

export const gone = (imageId: string): MetalshotError => refusal(410, 'Gone', `Image ${imageId} was deleted while its data was being uploaded; what had been received is removed.`);
export const unsupportedMedia = (found: string | undefined, expected: readonly string[]): MetalshotError =>
  refusal(415, 'UnsupportedMediaType', `The request media type ${found ?? '(none)'} is not supported: expected ${expected.join(' or ')}.`);
export const storageFull = (message = 'Image storage media is full: there is not enough disk space for the image.'): MetalshotError => refusal(413, 'StorageFull', message);
export const rangeNotSatisfiable = (): MetalshotError => refusal(416, 'RangeNotSatisfiable', 'The Range requested is not available.');
export const limitExceeded = (of: string, attempted: number, maximum: number): MetalshotError =>
  refusal(413, 'LimitExceeded', `The limit has been exceeded on the number of allowed image ${of}. Attempted: ${attempted}, Maximum: ${maximum}`);

/** Whether the file system has no room left. */
export const isStorageFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
