import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createHttpClient, describeHttpFailure } from '../protocol/http-client.ts';
import { ConflictError, InvalidParameterError, OperationFailedError } from '../protocol/errors.ts';

const PROBE_TIMEOUT_MS = 10_000;
const FETCH_TIMEOUT_MS = 300_000;
/** Every ISO 9660 image has its volume descriptor there (ECMA-119: sector 16), with this name after its first byte. */
const DESCRIPTOR_OFFSET = 16 * 2048;
const DESCRIPTOR_NAME = 'CD001';

/** The CD drive that a BMC emulates: its medium is an image that it reads over HTTP. */
export class VirtualMedia {
  /** URL of the medium; null: the drive is empty. */
  image: string | null = null;
  writeProtected = true;

  get imageName(): string | null {
    return this.image === null ? null : basename(new URL(this.image).pathname);
  }

  /**
   * Reads a piece out of the image's middle, as a drive does, before it is taken for inserted. A BMC checks no certificate unless told to.
   * @throws ConflictError when there is one inserted; InvalidParameterError when it cannot be read.
   */
  async insert(image: string, writeProtected: boolean): Promise<void> {
    if (this.image !== null) throw new ConflictError(`An image is already inserted: ${this.image}`);
    if (!/^https?:\/\/[^\s]+$/.test(image) || !URL.canParse(image)) throw new InvalidParameterError(`Image: expected a URL (http or https), found ${JSON.stringify(image)}`);
    const problem = await this.#findProblem(image);
    if (problem !== null) throw new InvalidParameterError(`Image: ${image} is no ISO image that can be read in pieces: ${problem}`);
    this.image = image;
    this.writeProtected = writeProtected;
  }

  /** Null: there is none. */
  async #findProblem(image: string): Promise<string | null> {
    const client = createHttpClient({ timeoutMs: PROBE_TIMEOUT_MS, insecure: true });
    const end = DESCRIPTOR_OFFSET + DESCRIPTOR_NAME.length;
    try {
      const { status, data } = await client.get<Readable>(image, { responseType: 'stream', headers: { Range: `bytes=${DESCRIPTOR_OFFSET}-${end}` } });
      if (status !== 206) {
        data.destroy();
        return `expected status 206, found ${status}`;
      }
      const found = await text(data);
      return found.slice(1) === DESCRIPTOR_NAME ? null : 'it has no volume descriptor';
    } catch (error) {
      return describeHttpFailure(error);
    }
  }

  eject(): void {
    this.image = null;
    this.writeProtected = true;
  }

  /** Brings the medium into a file of `directory` and returns its path. @throws OperationFailedError when the drive is empty or the image cannot be had. */
  async fetch(directory: string, signal?: AbortSignal): Promise<string> {
    if (this.image === null) throw new OperationFailedError('There is no medium in the virtual CD drive');
    const path = join(directory, 'virtual-media.iso');
    const client = createHttpClient({ timeoutMs: FETCH_TIMEOUT_MS, maxReplyBytes: Infinity, insecure: true });
    try {
      const answer = await client.get<Readable>(this.image, { responseType: 'stream', ...(signal ? { signal } : {}) });
      if (answer.status !== 200) {
        answer.data.destroy();
        throw new OperationFailedError(`expected status 200, found ${answer.status}`);
      }
      await pipeline(answer.data, createWriteStream(path, { mode: 0o600 }), ...(signal ? [{ signal }] : []));
    } catch (error) {
      await rm(path, { force: true });
      throw new OperationFailedError(`The medium ${this.image} cannot be read: ${describeHttpFailure(error)}`, {}, error);
    }
    return path;
  }
}
