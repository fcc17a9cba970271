import { Agent } from 'node:https';
import { isAbsolute } from 'node:path';
import { InvalidParameterError } from '../protocol/errors.ts';
import { milliseconds, readNamedFile } from './app-settings.ts';
import type { Config } from './config.ts';
import type { DestinationsOptions } from './images/destinations/destinations.ts';
import { authoritiesWith } from './images/url-origin.ts';

/** Object stores put an upload together before they answer. */
const ANSWER_TIMEOUT_MS = 600_000;

/** What snapshots may be written to outside the image service. @throws InvalidParameterError naming the configuration key that is at fault. */
export async function destinationsOf({ image_service: imageService, snapshot }: Config): Promise<DestinationsOptions> {
  for (const root of snapshot.file_roots) if (!isAbsolute(root)) throw new InvalidParameterError(`snapshot.file_roots: expected absolute paths, found ${root}`);
  const { s3 } = snapshot;
  return {
    fileRoots: snapshot.file_roots,
    https: await Promise.all(snapshot.https_destinations.map(httpsPlaceOf)),
    ...(s3 === undefined
      ? {}
      : {
          s3: {
            endpoint: s3.endpoint,
            region: s3.region,
            accessKeyId: s3.access_key_id,
            secretAccessKey: () => readNamedFile('snapshot.s3.secret_access_key_file', s3.secret_access_key_file),
            buckets: s3.buckets,
            pathStyle: s3.path_style,
            ...(s3.ca_file === undefined ? {} : { httpsAgent: new Agent({ keepAlive: true, ca: authoritiesWith(await readNamedFile('snapshot.s3.ca_file', s3.ca_file)) }) }),
          },
        }),
    times: { timeoutMs: milliseconds(imageService.timeout_s), stallTimeoutMs: milliseconds(snapshot.stall_timeout_s), answerTimeoutMs: ANSWER_TIMEOUT_MS },
  };
}

async function httpsPlaceOf({ prefix, username, password_file: passwordFile, token_file: tokenFile, ca_file: caFile }: Config['snapshot']['https_destinations'][number]): Promise<DestinationsOptions['https'][number]> {
  const key = `snapshot.https_destinations, ${new URL(prefix).host}`;
  if (new URL(prefix).username !== '' || new URL(prefix).password !== '') throw new InvalidParameterError(`${key}: the prefix carries credentials; put them into username and password_file`);
  if (tokenFile !== undefined && username !== undefined) throw new InvalidParameterError(`${key}: expected username and password_file, or token_file, found both`);
  if ((username === undefined) !== (passwordFile === undefined)) throw new InvalidParameterError(`${key}: username and password_file go together`);
  const authorization = async (): Promise<string | undefined> => {
    if (tokenFile !== undefined) return `Bearer ${await readNamedFile(`${key}: token_file`, tokenFile)}`;
    if (username === undefined || passwordFile === undefined) return undefined;
    return `Basic ${Buffer.from(`${username}:${await readNamedFile(`${key}: password_file`, passwordFile)}`).toString('base64')}`;
  };
  await authorization(); // a file that can not be read is known at the start
  return { prefix, authorization, ...(caFile === undefined ? {} : { ca: await readNamedFile(`${key}: ca_file`, caFile) }) };
}
