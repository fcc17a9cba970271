import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DigestMeter } from '../../../image-service/digest-meter.ts';
import { verifyUploaded } from '../../../image-service/verify-uploaded.ts';
import { withDeadline } from '../../../protocol/deadline.ts';
import { MetalshotError, NotFoundError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';
import { IMAGE_HASH_ALGO, type Image } from '../../../protocol/image.ts';
import { MANIFEST_PROPERTY, manifestOf } from '../../../protocol/image-manifest.ts';
import type { ImageService } from '../../drivers/interfaces.ts';
import { TakenError, type Destination, type Found } from './destination.ts';

const NOW_OR_NEVER = new AbortController().signal; // never aborted
const READ_SIZE_BYTES = 256 * 1024;
/** For removing what was found wrong, whatever became of the snapshot. */
const REMOVAL_TIMEOUT_MS = 60_000;
/** Proofs that are remembered; others are made again. */
const REMEMBERED = 1_000;

/** Digest of what was under a name when it had this version. */
interface Proof extends Found {
  hashValue: string;
}

/**
 * Places outside the image service as snapshots see them: as an image each, named by its URL, that is `queued` while there is
 * nothing and `active` when there is. The formats that a holder is given stand for what an upload may leave behind: taking
 * them back clears the place.
 */
export class DestinationImages implements ImageService {
  readonly #open: (ref: string) => Destination;
  /** By URL. Lost with the process: then the data are read again. */
  readonly #proofs = new Map<string, Proof>();
  /** Places at which there was nothing before this process wrote there, until what it wrote is proven. */
  readonly #written = new Set<string>();

  /** @param open the place of a URL. @throws InvalidParameterError for one that is not allowed. */
  constructor(open: (ref: string) => Destination) {
    this.#open = open;
  }

  projectId(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Never null: there is always a place. Of one that has only the document beside the data, the status is `killed`. */
  async show(ref: string, signal: AbortSignal = NOW_OR_NEVER): Promise<Image> {
    const place = this.#open(ref);
    const found = await place.find(signal);
    const note = await place.readNote(signal);
    if (found === null) return imageOf(ref, note === null ? 'queued' : 'killed', null, null);
    return imageOf(ref, 'active', found.sizeBytes, this.#proofOf(ref, found)?.hashValue ?? statedDigest(note, found));
  }

  /** The document beside the data is the image's manifest. The same again: fine. */
  async setProperties(ref: string, properties: Readonly<Record<string, string>>, signal: AbortSignal = NOW_OR_NEVER): Promise<void> {
    const place = this.#open(ref);
    if ((await place.find(signal)) === null) throw new NotFoundError(`There is no image at ${ref}.`, { image: ref });
    const { [MANIFEST_PROPERTY]: manifest, ...others } = properties;
    const text = `${JSON.stringify(manifest === undefined ? others : JSON.parse(manifest), null, 2)}\n`;
    const before = await place.readNote(signal);
    if (before === text) return;
    if (before !== null) throw new TakenError(`${ref}.json`);
    await place.writeNote(text, signal);
  }

  /** A place has no formats. Taken back they mean that an upload was given up: nothing of it stays. */
  async setFormats(ref: string, formats: Parameters<ImageService['setFormats']>[1], signal: AbortSignal = NOW_OR_NEVER): Promise<void> {
    if (Object.values(formats).every((format) => format === null)) await this.#open(ref).clear(signal);
  }

  async waitUntilQueued(ref: string, _timeoutMs: number, signal: AbortSignal = NOW_OR_NEVER): Promise<Image> {
    const image = await this.show(ref, signal);
    if (image.status !== 'queued') throw new TakenError(ref);
    await this.#open(ref).clear(signal);
    return image;
  }

  async uploadFile(ref: string, path: string, sizeBytes: number, options: Parameters<ImageService['uploadFile']>[3]): Promise<void> {
    const found = (await stat(path)).size;
    if (sizeBytes <= 0 || found !== sizeBytes) throw new OperationFailedError(`${path} holds ${found} bytes, expected ${sizeBytes}: nothing was written to ${ref}`, { retryable: false });
    await this.uploadStream(ref, createReadStream(path, { end: sizeBytes - 1, highWaterMark: READ_SIZE_BYTES }), sizeBytes, options);
  }

  async uploadStream(ref: string, data: Readable, sizeBytes: number, { signal, onProgress, answerTimeoutMs }: Parameters<ImageService['uploadStream']>[3]): Promise<void> {
    const place = this.#open(ref);
    const meter = new DigestMeter(IMAGE_HASH_ALGO, () => undefined);
    // An error of the source reaches the place through the meter, and the other way round; it is the place that tells.
    pipeline(data, meter, { signal }).catch((error: Error) => meter.destroy(error));
    this.#proofs.delete(ref);
    let outcome: 'proven' | 'unproven';
    try {
      outcome = await place.write(meter, sizeBytes, { signal, onProgress: onProgress ?? (() => undefined), ...(answerTimeoutMs === undefined ? {} : { answerTimeoutMs }) });
    } catch (error) {
      throw error instanceof MetalshotError ? error : new OperationFailedError(`The image could not be written to ${ref}: ${messageOf(error)}`, { retryable: !signal.aborted }, error);
    } finally {
      data.destroy();
      meter.destroy();
    }
    this.#written.add(ref);
    const found = await place.find(signal);
    if (outcome === 'proven' && found !== null) this.#remember(ref, { ...found, hashValue: meter.result().hashValue });
  }

  /** Of data that this process has not just written, and of places that confirm nothing, the digest is made by reading them back. What we wrote and is not what it should be is removed. */
  async verify(ref: string, expected: { sizeBytes: number; osHashValue: string }, signal: AbortSignal = NOW_OR_NEVER): Promise<void> {
    const place = this.#open(ref);
    const found = await place.find(signal);
    if (found !== null && found.sizeBytes === expected.sizeBytes && this.#proofOf(ref, found) === null) this.#remember(ref, { ...found, hashValue: await place.digest(signal) });
    try {
      verifyUploaded(found && imageOf(ref, 'active', found.sizeBytes, this.#proofs.get(ref)?.hashValue ?? null), expected);
    } catch (error) {
      if (this.#written.delete(ref)) await withDeadline(REMOVAL_TIMEOUT_MS, [], (limited) => place.remove(limited));
      throw error;
    }
    this.#written.delete(ref);
    await place.clear(signal); // of a try that died between giving the data their name and tidying up
  }

  /** Removes the data. @throws OperationFailedError unless they were written by us: somebody may need them. */
  async deactivate(ref: string, signal: AbortSignal = NOW_OR_NEVER, isOurs = false): Promise<void> {
    if (!this.#written.delete(ref) && !isOurs) throw new OperationFailedError(`${ref} holds data that are not proven to be what was captured, and that may be somebody else's: they were left as they are. Look at them, and remove them if nobody needs them`);
    await this.#open(ref).remove(signal);
  }

  #remember(ref: string, proof: Proof): void {
    if (this.#proofs.size >= REMEMBERED) this.#proofs.delete([...this.#proofs.keys()][0] ?? '');
    this.#proofs.set(ref, proof);
  }

  /** A place that tells no version could hold anything else of the same size by now. */
  #proofOf(ref: string, { sizeBytes, version }: Found): Proof | null {
    const proof = this.#proofs.get(ref);
    return proof !== undefined && proof.version !== null && proof.version === version && proof.sizeBytes === sizeBytes ? proof : null;
  }
}

/** What we wrote down beside the data once they were proven. */
function statedDigest(note: string | null, { sizeBytes }: Found): string | null {
  const image = note === null ? undefined : manifestOf({ [MANIFEST_PROPERTY]: note })?.image;
  return image?.size_bytes === sizeBytes && image.os_hash_algo === IMAGE_HASH_ALGO ? image.os_hash_value : null;
}

function imageOf(ref: string, status: Image['status'], size: number | null, osHashValue: string | null): Image {
  const formats = status === 'active' ? { disk_format: 'qcow2', container_format: 'bare' } : { disk_format: null, container_format: null };
  const digest = { os_hash_algo: osHashValue === null ? null : IMAGE_HASH_ALGO, os_hash_value: osHashValue };
  return { id: ref, name: null, status, owner: null, visibility: 'private', protected: false, ...formats, size, virtual_size: null, min_disk: 0, min_ram: 0, checksum: null, ...digest, created_at: '', updated_at: '', tags: [] };
}
