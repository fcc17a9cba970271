import { pipeline } from 'node:stream/promises';
import { DigestMeter } from '../../../image-service/digest-meter.ts';
import { verifyUploaded } from '../../../image-service/verify-uploaded.ts';
import { withDeadline } from '../../../protocol/deadline.ts';
import { MetalshotError, NotFoundError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';
import { IMAGE_HASH_ALGO, type Image, type ImageData } from '../../../protocol/image.ts';
import { MANIFEST_PROPERTY, manifestOf } from '../../../protocol/image-manifest.ts';
import type { ImageService, SentImage } from '../../drivers/interfaces.ts';
import { TakenError, type Destination, type Found } from './destination.ts';

const NOW_OR_NEVER = new AbortController().signal; // never aborted
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
 * nothing and `active` when there is. What is seen under the name is only ever removed when it is ours: written by this
 * process, or, as the snapshot's row tells, by one before it.
 */
export class DestinationImages implements ImageService {
  readonly #open: (ref: string) => Destination;
  /** By URL. Lost with the process: then the data are read again. */
  readonly #proofs = new Map<string, Proof>();
  /** By URL: what this process wrote where there was nothing, until it is proven. */
  readonly #written = new Map<string, Found>();

  /** @param open the place of a URL. @throws InvalidParameterError for one that is not allowed. */
  constructor(open: (ref: string) => Destination) {
    this.#open = open;
  }

  projectId(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Never null: there is always a place. Of one that has only the document beside the data, the status is `killed`. */
  async show(ref: string, signal: AbortSignal = NOW_OR_NEVER): Promise<Image> {
    return (await this.#look(ref, this.#open(ref), signal)).image;
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

  /** A place has no formats. */
  setFormats(): Promise<void> {
    return Promise.resolve();
  }

  /** Nobody else uploads to a place: what is half-made there is left of an upload of ours that broke. */
  async settle(ref: string, { ours, signal = NOW_OR_NEVER }: Parameters<ImageService['settle']>[1]): Promise<Image> {
    const place = this.#open(ref);
    const { image, hasNote } = await this.#look(ref, place, signal);
    const isHalf = place.writesInPlace && !hasNote && isHalfOf(ours, image); // ours gets its note once it is whole
    if (isHalf) await this.#remove(ref, place, signal);
    if (ours !== null || image.status !== 'active') await place.clear(signal);
    return isHalf ? this.show(ref, signal) : image;
  }

  async upload(ref: string, source: ImageData, sizeBytes: number, { signal, onProgress, answerTimeoutMs }: Parameters<ImageService['upload']>[3]): Promise<void> {
    const place = this.#open(ref);
    const data = source.open();
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
    const found = await place.find(signal);
    if (found === null) throw new OperationFailedError(`The image was written to ${ref} and is not there: it was removed at once, or is not shown yet`, { retryable: !signal.aborted });
    this.#written.set(ref, found);
    if (outcome === 'proven') this.#remember(ref, { ...found, hashValue: meter.result().hashValue });
  }

  /** Of data that this process has not just written, and of places that confirm nothing, the digest is made by reading them back. What we wrote and is not what it should be is removed. */
  async verify(ref: string, expected: { sizeBytes: number; osHashValue: string }, signal: AbortSignal = NOW_OR_NEVER): Promise<void> {
    const place = this.#open(ref);
    const found = await place.find(signal);
    if (found !== null && found.sizeBytes === expected.sizeBytes && this.#proofOf(ref, found) === null) this.#remember(ref, { ...found, hashValue: await place.digest(signal) });
    try {
      verifyUploaded(found && imageOf(ref, 'active', found.sizeBytes, this.#proofs.get(ref)?.hashValue ?? null), expected);
    } catch (error) {
      if (this.#hasWritten(ref, found)) await withDeadline(REMOVAL_TIMEOUT_MS, [], (limited) => this.#remove(ref, place, limited));
      throw error;
    }
    this.#written.delete(ref);
    await place.clear(signal); // of a try that died between giving the data their name and tidying up
  }

  /** Removes the data. Nothing there: fine. @throws OperationFailedError unless they are ours: somebody may need them. */
  async deactivate(ref: string, { ours, signal = NOW_OR_NEVER }: Parameters<ImageService['deactivate']>[1]): Promise<void> {
    const place = this.#open(ref);
    const found = await place.find(signal);
    if (found === null) return;
    if (!this.#hasWritten(ref, found) && found.sizeBytes !== ours?.sizeBytes) throw new OperationFailedError(`${ref} holds data that are not proven to be what was captured, and that may be somebody else's: they were left as they are. Look at them, and remove them if nobody needs them`);
    await this.#remove(ref, place, signal);
  }

  async #look(ref: string, place: Destination, signal: AbortSignal): Promise<{ image: Image; hasNote: boolean }> {
    const found = await place.find(signal);
    const note = await place.readNote(signal);
    const hasNote = note !== null;
    if (found === null) return { image: imageOf(ref, hasNote ? 'killed' : 'queued', null, null), hasNote };
    return { image: imageOf(ref, 'active', found.sizeBytes, this.#proofOf(ref, found)?.hashValue ?? statedDigest(note, found)), hasNote };
  }

  async #remove(ref: string, place: Destination, signal: AbortSignal): Promise<void> {
    await place.remove(signal);
    this.#written.delete(ref);
  }

  /** Whether this is what this process wrote there, and not what somebody has put in its place since. */
  #hasWritten(ref: string, found: Found | null): boolean {
    const written = this.#written.get(ref);
    return written !== undefined && found?.version === written.version && found.sizeBytes === written.sizeBytes;
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

/** Nobody has proven it, and it is shorter than what we sent. */
const isHalfOf = (ours: SentImage | null, { status, size, os_hash_value: digest }: Image): boolean =>
  ours !== null && status === 'active' && digest === null && size !== null && size >= 0 && size < ours.sizeBytes;

function imageOf(ref: string, status: Image['status'], size: number | null, osHashValue: string | null): Image {
  const formats = status === 'active' ? { disk_format: 'qcow2', container_format: 'bare' } : { disk_format: null, container_format: null };
  const digest = { os_hash_algo: osHashValue === null ? null : IMAGE_HASH_ALGO, os_hash_value: osHashValue };
  return { id: ref, name: null, status, owner: null, visibility: 'private', protected: false, ...formats, size, virtual_size: null, min_disk: 0, min_ram: 0, checksum: null, ...digest, created_at: '', updated_at: '', tags: [] };
}
