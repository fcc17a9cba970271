import { describe, expect, test } from '@jest/globals';
import { uploadFailure, type StatusAfter } from '../../../image-service/upload-failure.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';

const IMAGE = '11111111-1111-4111-8111-111111111111';

describe('a failed upload says whether another try makes sense', () => {
  test.each<[number, StatusAfter, boolean, RegExp]>([
    [400, 'queued', false, /refused it/],
    [401, 'queued', false, /credentials/],
    [403, 'queued', false, /forbids us to write/],
    [404, 'missing', false, /deleted while the upload was under way, or never existed/],
    [410, 'unknown', false, /deleted while the upload was under way, or never existed/],
    [409, 'active', false, /not queued.*create a new image/],
    [409, 'saving', false, /not queued/],
    [409, 'queued', true, /not queued/],
    [413, 'queued', false, /no room/],
    [507, 'queued', false, /no room/],
    [408, 'queued', true, /failed/],
    [429, 'queued', true, /failed/],
    [500, 'saving', true, /failed/],
    [503, 'unknown', true, /failed/],
    [503, 'missing', false, /deleted/],
    [204, 'saving', true, /before it had all data/],
  ])('HTTP %i with the image %s afterwards: retryable %s', (status, imageStatus, retryable, message) => {
    const failure = uploadFailure(IMAGE, { status, text: 'the reason' }, imageStatus);
    expect(failure.data).toEqual({ image: IMAGE, status, retryable, imageStatus });
    expect(failure.message).toMatch(message);
    expect(failure.message).toContain(`HTTP ${status}: the reason; the image is ${imageStatus} now`);
  });

  test('data that could not be read are worth another try, unless whoever gives them says no', () => {
    const failure = (data: object): unknown => uploadFailure(IMAGE, new OperationFailedError('/spool/x could not be read: EIO', { source: '/spool/x', unreadable: true, ...data }), 'queued');
    expect(failure({})).toMatchObject({ message: expect.stringMatching(/the data could not be read \(.*EIO/), data: { retryable: true } });
    expect(failure({ retryable: false })).toMatchObject({ data: { retryable: false } });
  });

  test('a broken connection is worth another try, a stop is not', () => {
    expect(uploadFailure(IMAGE, new Error('read ECONNRESET'), 'saving').data).toMatchObject({ status: null, retryable: true });
    expect(uploadFailure(IMAGE, new OperationFailedError('The upload was stopped on request', { stopped: true }), 'queued').data).toMatchObject({ status: null, retryable: false, stopped: true });
    expect(uploadFailure(IMAGE, new Error('read ECONNRESET'), 'missing').data).toMatchObject({ retryable: false });
  });
});
