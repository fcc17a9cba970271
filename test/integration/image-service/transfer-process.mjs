/**
 * Uploads and downloads files of the given sizes with the built client and logs the process's largest resident set after each.
 * Arguments: directory of the built programs, URL, path of a sparse file, sizes in bytes.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';

const [dist, url, path, ...sizes] = process.argv.slice(2);
const { GlanceClient } = await import(`${dist}/image-service/client.js`);
const { noToken } = await import(`${dist}/image-service/token-provider.js`);
const { createLogger } = await import(`${dist}/protocol/log.js`);

const log = createLogger('transfer', 'info');
const client = new GlanceClient({ url, token: noToken, timeoutMs: 30_000, log });
await writeFile(path, '');
for (const sizeBytes of sizes.map(Number)) {
  await truncate(path, sizeBytes);
  const { id } = await client.create({ disk_format: 'raw', container_format: 'bare' });
  await client.upload(id, { name: path, open: () => createReadStream(path) }, sizeBytes, { signal: new AbortController().signal });
  const { sizeBytes: received } = await client.download(id, createWriteStream('/dev/null'));
  const [, peakKib] = /VmHWM:\s+(\d+)/.exec(await readFile('/proc/self/status', 'utf8'));
  log.info({ sizeBytes, received, peakBytes: Number(peakKib) * 1024 }, 'transferred');
}
