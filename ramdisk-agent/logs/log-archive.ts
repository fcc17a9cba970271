import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { messageOf } from '../../protocol/errors.ts';
import type { LogSource } from './log-source.ts';
import { hideSecrets } from './secrets.ts';
import { encodeTar, type TarMember } from './tar.ts';

/**
 * All sources as a gzip'ed tar, secrets hidden. A source that cannot be read has a member that says why: logs are wanted most
 * when something is broken. @param secrets values that must not be in it, wherever they stand.
 */
export async function archiveLogs(sources: readonly LogSource[], secrets: readonly string[]): Promise<Buffer> {
  const members = await Promise.all(sources.map((source) => readMember(source, secrets)));
  return promisify(gzip)(encodeTar(members, new Date()));
}

async function readMember({ name, limitBytes, read }: LogSource, secrets: readonly string[]): Promise<TarMember> {
  try {
    const bytes = Buffer.from(hideSecrets(await read(), secrets));
    return { name, content: bytes.subarray(Math.max(0, bytes.length - limitBytes)) };
  } catch (error) {
    return { name: `${name}.error`, content: Buffer.from(`${hideSecrets(messageOf(error), secrets)}\n`) };
  }
}
