/** `s3:` destinations against a real store that many run: OpenStack Swift with its S3 interface. It knows no conditions (501). */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createDestinations } from '../../../conductor/images/destinations/destinations.ts';
import { startSwiftS3, type SwiftS3 } from '../../peers/swift-s3.ts';
import { keepsItsPromises } from './contract.ts';
import { optionsFor, stageOn, type Access } from './s3-stage.ts';

const START_TIMEOUT_MS = 240_000;

let swift: SwiftS3 | undefined;
let access: Access;
beforeAll(async () => {
  swift = await startSwiftS3();
  const { endpoint, accessKeyId, secret } = swift;
  access = { endpoint, accessKeyId, secret, bucket: 'images' };
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey: secret } });
  await client.send(new CreateBucketCommand({ Bucket: access.bucket }));
  client.destroy();
}, START_TIMEOUT_MS);
afterAll(() => swift?.stop());

describe('an object of a real store', () => {
  keepsItsPromises(() => Promise.resolve(stageOn(access, () => Promise.resolve())));

  test('in a bucket that the store does not have is told before anything is sent', async () => {
    await expect(createDestinations(optionsFor(access)).images.show('s3://missing/web-1.qcow2')).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/the store has no bucket missing/) });
  });

  test('is not to be had with a wrong secret, which is told without it', async () => {
    const { images } = createDestinations(optionsFor({ ...access, secret: 'tell-nobody' }));
    const refusal = await images.show('s3://images/web-1.qcow2').catch((error: Error) => error.message);
    expect(refusal).toMatch(/HTTP 403.*Check snapshot\.s3/);
    expect(refusal).not.toContain('tell-nobody');
  });
});
