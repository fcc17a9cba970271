import { CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import type { DestinationsOptions } from '../../../conductor/images/destinations/destinations.ts';
import { DATA, TIMES, type Stage } from './contract.ts';

const MIB = 1024 ** 2;

/** A bucket that may be filled and emptied. */
export interface Access {
  endpoint: string;
  accessKeyId: string;
  secret: string;
  bucket: string;
}
export const optionsFor = ({ endpoint, accessKeyId, secret, bucket }: Access): DestinationsOptions => ({
  fileRoots: [],
  https: [],
  s3: { endpoint, region: 'us-east-1', accessKeyId, secretAccessKey: () => Promise.resolve(secret), buckets: [bucket, 'missing'], pathStyle: true },
  times: TIMES,
});

/** A place in the bucket; what it holds is looked up as everybody sees it, and removed at the end. */
export function stageOn(access: Access, close: () => Promise<void>): Stage {
  const client = new S3Client({ endpoint: access.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: access.accessKeyId, secretAccessKey: access.secret }, requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' });
  const Bucket = access.bucket;
  const Key = 'rack-1/web-1.qcow2';
  const keys = async (): Promise<string[]> => ((await client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).flatMap(({ Key: key }) => key ?? []);
  return {
    options: optionsFor(access),
    ref: `s3://${Bucket}/${Key}`,
    async contents() {
      const found: Record<string, Buffer> = {};
      for (const key of await keys()) found[key.replace('rack-1/', '')] = Buffer.from((await (await client.send(new GetObjectCommand({ Bucket, Key: key }))).Body?.transformToByteArray()) ?? []);
      for (const { UploadId } of (await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []) found[`upload ${UploadId}`] = Buffer.alloc(0);
      return found;
    },
    async leaveBehind() {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
      await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: DATA.subarray(0, 5 * MIB) }));
    },
    async close() {
      for (const key of await keys()) await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
      client.destroy();
      await close();
    },
  };
}
