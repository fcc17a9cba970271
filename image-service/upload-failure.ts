import { OperationFailedError, messageOf } from '../protocol/errors.ts';
import type { ImageStatus } from '../protocol/image.ts';
import { readableError } from './error-text.ts';
import type { Answer } from './upload.ts';

/** The image as it was read after the failed upload: `missing` when it does not exist, `unknown` when it could not be read. */
export type StatusAfter = ImageStatus | 'missing' | 'unknown';

export interface UploadFailureData extends Record<string, unknown> {
  image: string;
  /** HTTP status; null when there was no answer. */
  status: number | null;
  /** Another try can succeed, once the image is `queued` again. */
  retryable: boolean;
  imageStatus: StatusAfter;
}

/** What a failed upload means and whether another try makes sense (`data.retryable`). */
export function uploadFailure(image: string, failure: Answer | Error, imageStatus: StatusAfter): OperationFailedError {
  const status = failure instanceof Error ? null : failure.status;
  const said = failure instanceof Error ? messageOf(failure) : readableError(failure.text) || `status ${failure.status}`;
  const { reason, retryable } = judge(failure, imageStatus);
  const data: UploadFailureData = { ...(failure instanceof OperationFailedError ? failure.data : {}), image, status, retryable, imageStatus };
  return new OperationFailedError(`Upload to image ${image} failed: ${reason} (${status === null ? '' : `HTTP ${status}: `}${said}; the image is ${imageStatus} now)`, data, failure instanceof Error ? failure : undefined);
}

function judge(failure: Answer | Error, imageStatus: StatusAfter): { reason: string; retryable: boolean } {
  if (imageStatus === 'missing') return { reason: 'the image was deleted while the upload was under way, or never existed', retryable: false };
  if (failure instanceof Error) {
    if (failure instanceof OperationFailedError && failure.data.stopped === true) return { reason: 'it was stopped', retryable: false };
    if (failure instanceof OperationFailedError && failure.data.unreadable === true) return { reason: 'the data could not be read', retryable: failure.data.retryable !== false };
    return { reason: 'the connection to the image service failed', retryable: true };
  }
  const { status } = failure;
  if (status === 404 || status === 410) return { reason: 'the image was deleted while the upload was under way, or never existed', retryable: false };
  // An earlier upload may only just have been rolled back: then the holder is free again.
  if (status === 409) return { reason: 'the image is not queued: it has data already, or another upload is under way; create a new image', retryable: imageStatus === 'queued' };
  if (status === 401) return { reason: 'the image service does not accept our credentials; check the configured token', retryable: false };
  if (status === 403) return { reason: 'the image service forbids us to write this image; check its owner and our role', retryable: false };
  if (status === 413 || status === 507) return { reason: 'the image service has no room for it (storage full or quota exceeded); free space and take it again', retryable: false };
  if (status >= 500 || status === 408 || status === 429) return { reason: 'the image service failed', retryable: true };
  if (status < 300) return { reason: 'the image service answered before it had all data', retryable: true };
  return { reason: 'the image service refused it', retryable: false };
}
