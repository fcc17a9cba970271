import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { createHttpClient } from '../../protocol/http-client.ts';
import type { Image } from '../../protocol/image.ts';
import { runProgram } from '../../protocol/program.ts';

const DOWNLOAD_TIMEOUT_MS = 600_000;
const COMPARE_TIMEOUT_MS = 600_000;

/** The image service as a test asks it, and what is in its images. */
export class ImageFiles {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** A precreated image that waits for data. @returns its id. */
  async createHolder(fields: Record<string, unknown> = {}): Promise<string> {
    const reply = await this.#client.post<Image>('/v2/images', { name: 'holder', ...fields });
    if (reply.status !== 201) throw new Error(`image was not created: ${reply.status} ${JSON.stringify(reply.data)}`);
    return reply.data.id;
  }

  async show(id: string): Promise<Image> {
    return (await this.#client.get<Image>(`/v2/images/${id}`)).data;
  }

  async download(id: string, path: string): Promise<void> {
    const client = createHttpClient({ baseURL: this.#url, timeoutMs: DOWNLOAD_TIMEOUT_MS, maxReplyBytes: Infinity });
    const reply = await client.get<Readable>(`/v2/images/${id}/file`, { responseType: 'stream' });
    if (reply.status !== 200) {
      reply.data.destroy();
      throw new Error(`image ${id} was not handed out: ${reply.status}`);
    }
    await pipeline(reply.data, createWriteStream(path));
  }

  get #client(): ReturnType<typeof createHttpClient> {
    return createHttpClient({ baseURL: this.#url, timeoutMs: 30_000 });
  }
}

/** A copy of a disk, as sparse as it is. */
export async function copyDisk(from: string, to: string): Promise<void> {
  await runProgram('cp', ['--sparse=always', from, to], { timeoutMs: COMPARE_TIMEOUT_MS });
}

/** A qcow2 image as the disk that it holds. */
export async function convertToRaw(qcow2: string, raw: string): Promise<void> {
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', qcow2, raw], { timeoutMs: COMPARE_TIMEOUT_MS });
}

interface DiskFile {
  path: string;
  format: string;
}

/**
 * How two disks differ, in whatever formats: in size, or in the first byte that does; null: not at all. Which of their zeros
 * are stored is no difference (so not qemu-img's strict mode), but a shorter disk is, which it would take for equal.
 */
export async function differenceOf(first: DiskFile, second: DiskFile): Promise<string | null> {
  const sizes = [await sizeOf(first), await sizeOf(second)];
  if (sizes[0] !== sizes[1]) return `one has ${sizes[0]} bytes, the other ${sizes[1]}`;
  const { exitCode, stdout } = await runProgram('qemu-img', ['compare', '-f', first.format, '-F', second.format, first.path, second.path], { timeoutMs: COMPARE_TIMEOUT_MS, acceptedExitCodes: [0, 1] });
  return exitCode === 0 ? null : stdout.trim();
}

/** Of the disk that the file holds, in bytes. */
async function sizeOf({ path, format }: DiskFile): Promise<number> {
  const { stdout } = await runProgram('qemu-img', ['info', '--output', 'json', '-f', format, path], { timeoutMs: COMPARE_TIMEOUT_MS });
  return (JSON.parse(stdout) as { 'virtual-size': number })['virtual-size'];
}
