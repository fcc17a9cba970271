/** `s3:` destinations, against the strict double of test/rig; against a real store: s3-real-store.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { partBytesOf } from '../../../conductor/images/destinations/s3-upload.ts';
import { createDestinations } from '../../../conductor/images/destinations/destinations.ts';
import { S3Store } from '../../rig/s3-store.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';
import { DATA, keepsItsPromises, pieces, signal, TIMES, WHOLE } from './contract.ts';
import { optionsFor, stageOn, type Access } from './s3-stage.ts';
import { dataOf } from '../../rig/image-data.ts';

const MIB = 1024 ** 2;

const accessTo = (store: S3Store, port = store.port): Access => ({ endpoint: `http://127.0.0.1:${port}`, accessKeyId: store.accessKeyId, secret: store.secret, bucket: store.bucket });

describe('an object', () =>
  keepsItsPromises(async () => {
    const store = await S3Store.start();
    return stageOn(accessTo(store), () => store.close());
  }));

describe('an object of a store that knows no conditions', () =>
  keepsItsPromises(async () => {
    const store = await S3Store.start();
    store.knowsConditions = false;
    store.opaqueEtags = true;
    return stageOn(accessTo(store), () => store.close());
  }));

describe('beyond that,', () => {
  let store: S3Store;
  let ref: string;
  let images: ReturnType<typeof createDestinations>['images'];
  beforeEach(async () => {
    store = await S3Store.start();
    ref = `s3://${store.bucket}/rack-1/web-1.qcow2`;
    images = createDestinations(optionsFor(accessTo(store))).images;
  });
  afterEach(() => store.close());
  const upload = (service = images): Promise<void> => service.upload(ref, dataOf(pieces()), DATA.length, { signal });

  test('a bucket that is not listed is refused, and nobody is asked', async () => {
    store.intercept = () => ({ status: 500 });
    await expect(images.show('s3://others/web-1.qcow2')).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/others is not one of snapshot\.s3\.buckets/) });
  });

  test('without a store in the configuration there is none', () => {
    expect(() => createDestinations({ fileRoots: [], https: [], times: TIMES }).open(ref)).toThrow(/snapshot\.s3 is not configured/);
  });

  test('a bucket that the store does not have is told before anything is sent', async () => {
    await expect(images.show('s3://missing/web-1.qcow2')).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/the store has no bucket missing/) });
  });

  test('a wrong secret is told, without it', async () => {
    const { images: strangers } = createDestinations(optionsFor({ ...accessTo(store), secret: 'tell-nobody' }));
    const refusal = await strangers.show(ref).catch((error: Error) => error.message);
    expect(refusal).toMatch(/HTTP 403.*Check snapshot\.s3/);
    expect(refusal).not.toContain('tell-nobody');
  });

  test('data that the store has changed are found, and removed', async () => {
    store.damages = true;
    await upload();
    await expect(images.verify(ref, WHOLE)).rejects.toThrow(/os_hash_value/);
    expect([...store.objects]).toEqual([]);
  });

  test('an object that appears during the upload is kept, and the upload is aborted', async () => {
    async function* disturbed(): AsyncGenerator<Buffer> {
      yield* pieces();
      store.objects.set('rack-1/web-1.qcow2', { body: Buffer.from('somebody else was faster'), etag: 'x' });
    }
    await expect(images.upload(ref, dataOf(disturbed()), DATA.length, { signal })).rejects.toThrow(/nothing is overwritten/);
    expect(String(store.objects.get('rack-1/web-1.qcow2')?.body)).toBe('somebody else was faster');
    expect([...store.uploads]).toEqual([]);
  });

  test('other keys that begin like ours keep their uploads', async () => {
    store.uploads.set('u', { id: 'u', key: 'rack-1/web-1.qcow2.other.qcow2', parts: new Map() });
    await images.settle(ref, { timeoutMs: 0, ours: null });
    expect([...store.uploads.keys()]).toEqual(['u']);
  });

  test('a part that the store did not take at first is sent again', async () => {
    let failures = 2;
    store.intercept = ({ method, url }) => (method === 'PUT' && url?.includes('partNumber=2') && failures-- > 0 ? { status: 503 } : undefined);
    await upload();
    await images.verify(ref, WHOLE);
    expect(failures).toBeLessThan(0);
  });

  test('a store that is gone in the middle: worth another try, which finds and removes the broken upload', async () => {
    const relay = await TcpRelay.to({ port: store.port });
    try {
      const { images: remote } = createDestinations(optionsFor(accessTo(store, relay.port)));
      const uploading = upload(remote);
      uploading.catch(() => undefined);
      await until('the store has a part', () => [...store.uploads.values()].some(({ parts }) => parts.size > 0));
      relay.cut();
      await expect(uploading).rejects.toMatchObject({ data: expect.objectContaining({ retryable: true }) });
      expect(store.uploads.size).toBe(1);
      relay.mend();
      await remote.settle(ref, { timeoutMs: 0, ours: null });
      expect(store.uploads.size).toBe(0);
      await upload(remote);
      await remote.verify(ref, WHOLE);
    } finally {
      await relay.close();
    }
  });

  test('a store that takes no more bytes is given up', async () => {
    const relay = await TcpRelay.to({ port: store.port });
    try {
      const { images: remote } = createDestinations({ ...optionsFor(accessTo(store, relay.port)), times: { ...TIMES, stallTimeoutMs: 1_500 } });
      const uploading = upload(remote);
      uploading.catch(() => undefined);
      await until('an upload was begun', () => store.uploads.size > 0);
      relay.pause();
      const ended = expect(uploading).rejects.toThrow(/take part \d of .*(not within|aborted)/);
      await until('it is given up', () => uploading.then(() => true, () => true), 25_000);
      relay.resume();
      await ended;
    } finally {
      await relay.close();
    }
  }, 60_000);
});

test.each([
  [1, 8],
  [80_000 * MIB, 8],
  [80_001 * MIB, 9],
  [1024 * 1024 * MIB, 105],
  [5 * 1024 * 1024 * MIB, 525],
])('an object of %i bytes goes in parts of %i MiB: never more than 10 000', (sizeBytes, partMib) => {
  expect(partBytesOf(sizeBytes)).toBe(partMib * MIB);
  expect(Math.ceil(sizeBytes / partBytesOf(sizeBytes))).toBeLessThanOrEqual(10_000);
});
