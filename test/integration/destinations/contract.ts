/** What every place outside the image service promises, whatever its kind; each runs it against the real thing. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { createDestinations, type DestinationsOptions } from '../../../conductor/images/destinations/destinations.ts';
import { MANIFEST_PROPERTY } from '../../../protocol/image-manifest.ts';
import { dataOf, fileData } from '../../rig/image-data.ts';

/** A place under test. */
export interface Stage {
  options: DestinationsOptions;
  /** A name under which there is nothing. */
  ref: string;
  /** Everything that is stored there, by name, half-made things too. */
  contents(): Promise<Record<string, Buffer>>;
  /** Something that a conductor which died could have left of an upload to `ref`; absent: this kind leaves nothing. */
  leaveBehind?(): Promise<void>;
  close(): Promise<void>;
}

const MIB = 1024 ** 2;
/** More than two parts of an object store, and no multiple of anything. */
export const DATA = randomBytes(18 * MIB + 12_345);
export const sha512 = (data: Buffer): string => createHash('sha512').update(data).digest('hex');
export const WHOLE = { sizeBytes: DATA.length, osHashValue: sha512(DATA) };
/** What the history tells of an upload of DATA. */
export const OURS = { sizeBytes: DATA.length };
export const signal = new AbortController().signal;
export const TIMES = { timeoutMs: 10_000, stallTimeoutMs: 3_000, answerTimeoutMs: 10_000 };

export async function* pieces(until = DATA.length, atEnd: () => void = () => undefined): AsyncGenerator<Buffer> {
  for (let at = 0; at < until; at += MIB) yield DATA.subarray(at, Math.min(at + MIB, until));
  await Promise.resolve();
  atEnd();
}
export const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1);

/** @param showsHalves half an upload may be seen under its name. */
export function keepsItsPromises(start: () => Promise<Stage>, { showsHalves = false } = {}): void {
  let stage: Stage;
  let directory: string;
  let images: ReturnType<typeof createDestinations>['images'];
  beforeEach(async () => {
    stage = await start();
    directory = await mkdtemp(join(tmpdir(), 'destination-spool-'));
    images = createDestinations(stage.options).images;
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
    await stage.close();
  });
  const another = (): typeof images => createDestinations(stage.options).images;
  /** Somebody, or a conductor that has died since, puts something there. */
  async function put(data: Buffer): Promise<void> {
    const place = createDestinations(stage.options).open(stage.ref);
    await place.remove(signal);
    await place.write(Readable.from([data]), data.length, { signal, onProgress: () => undefined });
  }
  const putManifest = (text: string): Promise<void> => createDestinations(stage.options).open(stage.ref).writeNote(text, signal);
  const stream = (data: AsyncIterable<Buffer>, sizeBytes = DATA.length, stopped = signal): Promise<void> => images.upload(stage.ref, dataOf(data), sizeBytes, { signal: stopped });
  const expectNothing = async (): Promise<void> => {
    expect(Object.keys(await stage.contents())).toEqual([]);
    expect(await images.show(stage.ref)).toMatchObject({ status: 'queued', size: null });
  };

  test('a file of the spool arrives whole, is proven, and tells its progress', async () => {
    expect(await images.show(stage.ref)).toMatchObject({ status: 'queued', disk_format: null });
    const spooled = join(directory, 'spooled');
    await writeFile(spooled, DATA);
    let told = 0;
    await images.upload(stage.ref, fileData(spooled), DATA.length, { signal, onProgress: (bytes) => (told = bytes) });
    await images.verify(stage.ref, WHOLE);
    expect(told).toBe(DATA.length);
    const contents = await stage.contents();
    expect(Object.keys(contents)).toEqual([nameOf(stage.ref)]);
    expect(contents[nameOf(stage.ref)]?.equals(DATA)).toBe(true);
    expect(await images.show(stage.ref)).toMatchObject({ status: 'active', size: DATA.length, os_hash_algo: 'sha512', os_hash_value: WHOLE.osHashValue, disk_format: 'qcow2' });
  });

  test('a stream does too, and can be read back with its digest; a conductor that knows nothing of it proves it by reading', async () => {
    await stream(pieces());
    await images.verify(stage.ref, WHOLE);
    await another().verify(stage.ref, WHOLE);
    await expect(another().verify(stage.ref, { ...WHOLE, osHashValue: 'f'.repeat(128) })).rejects.toThrow(/os_hash_value: expected f+, found [0-9a-f]+/);
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    expect(await createDestinations(stage.options).open(stage.ref).read(nowhere, { signal, hashAlgo: 'sha256', onProgress: () => undefined })).toEqual({ sizeBytes: DATA.length, hashValue: createHash('sha256').update(DATA).digest('hex') });
  });

  test.each([
    ['ends before its last byte', () => pieces(DATA.length - 1)],
    ['breaks in the middle', () => pieces(10 * MIB, () => { throw new Error('the machine lost power'); })],
    ['goes on after its end', () => (async function* () { yield* pieces(); yield Buffer.from('more'); })()],
  ])('a stream that %s leaves nothing', async (_how, data) => {
    await expect(stream(data())).rejects.toThrow();
    await expectNothing();
  });

  test('an upload that is stopped in the middle leaves nothing, and the next one succeeds', async () => {
    const stopped = new AbortController();
    await expect(stream(pieces(12 * MIB, () => stopped.abort(new Error('no longer wanted'))), DATA.length, stopped.signal)).rejects.toThrow();
    await expectNothing();
    await stream(pieces());
    await images.verify(stage.ref, WHOLE);
  });

  test('nothing is overwritten', async () => {
    await stream(pieces());
    await expect(another().upload(stage.ref, dataOf([Buffer.from('other data')]), 10, { signal })).rejects.toMatchObject({ message: expect.stringMatching(/nothing is overwritten/), data: expect.objectContaining({ retryable: false }) });
    expect((await stage.contents())[nameOf(stage.ref)]?.equals(DATA)).toBe(true);
  });

  test('what we wrote and is not what was captured is removed; what somebody else wrote is left, and named', async () => {
    await stream(pieces());
    const wrong = { ...WHOLE, osHashValue: '0'.repeat(128) };
    await expect(another().verify(stage.ref, wrong)).rejects.toThrow(/does not hold the data/);
    await expect(another().deactivate(stage.ref, { ours: null })).rejects.toThrow(/somebody else's: they were left/);
    await expect(another().deactivate(stage.ref, { ours: { sizeBytes: DATA.length + 1 } })).rejects.toThrow(/somebody else's: they were left/);
    expect(Object.keys(await stage.contents())).toEqual([nameOf(stage.ref)]);
    await expect(images.verify(stage.ref, wrong)).rejects.toThrow(/does not hold the data/);
    await expectNothing();
  });

  test('what somebody has put in the place of what we wrote is left, and named', async () => {
    await stream(pieces());
    const theirs = Buffer.alloc(DATA.length, 7);
    await put(theirs);
    await expect(images.verify(stage.ref, WHOLE)).rejects.toThrow(/does not hold the data/);
    await expect(images.deactivate(stage.ref, { ours: null })).rejects.toThrow(/somebody else's: they were left/);
    expect((await stage.contents())[nameOf(stage.ref)]?.equals(theirs)).toBe(true);
  });

  test('what a conductor that died has written whole is kept to be proven, and removed when it is given up', async () => {
    await put(DATA);
    expect(await images.settle(stage.ref, { timeoutMs: 0, ours: OURS })).toMatchObject({ status: 'active', size: DATA.length });
    await images.deactivate(stage.ref, { ours: OURS });
    await expectNothing();
    await images.deactivate(stage.ref, { ours: OURS }); // again: fine
  });

  test('half of it is removed where half an upload is seen under its name, and otherwise is none of ours', async () => {
    await put(DATA.subarray(0, 1_000));
    const settled = await images.settle(stage.ref, { timeoutMs: 0, ours: OURS });
    expect(settled).toMatchObject(showsHalves ? { status: 'queued', size: null } : { status: 'active', size: 1_000 });
    expect(Object.keys(await stage.contents())).toEqual(showsHalves ? [] : [nameOf(stage.ref)]);
  });

  test.each([
    ['where we sent nothing', DATA.subarray(0, 1_000), null, false],
    ['longer than what we sent', Buffer.concat([DATA, DATA.subarray(0, 1)]), OURS, false],
    ['shorter, with a manifest beside it', DATA.subarray(0, 1_000), OURS, true],
  ])("another's image is kept: %s", async (_what, theirs, ours, hasManifest) => {
    await put(theirs);
    if (hasManifest) await putManifest('{"by":"somebody"}');
    expect(await images.settle(stage.ref, { timeoutMs: 0, ours })).toMatchObject({ status: 'active', size: theirs.length });
    await expect(images.deactivate(stage.ref, { ours })).rejects.toThrow(/somebody else's: they were left/);
    expect((await stage.contents())[nameOf(stage.ref)]?.equals(theirs)).toBe(true);
  });

  test.each([['in a snapshot that has sent something', OURS], ['long after one', null]])('a stray manifest is kept, what is half-made beside it is not: %s', async (_when, ours) => {
    await stage.leaveBehind?.();
    await putManifest('{}');
    expect(await images.settle(stage.ref, { timeoutMs: 0, ours })).toMatchObject({ status: 'killed', size: null });
    expect(Object.keys(await stage.contents())).toEqual([`${nameOf(stage.ref)}.json`]);
  });

  test("what is half-made unseen is removed beside another's image too, if we have sent something", async () => {
    await stage.leaveBehind?.();
    await put(Buffer.concat([DATA, DATA]));
    expect(await images.settle(stage.ref, { timeoutMs: 0, ours: OURS })).toMatchObject({ status: 'active' });
    expect(Object.keys(await stage.contents())).toEqual([nameOf(stage.ref)]);
  });

  test('the manifest lies beside the data as JSON: the same again is fine, another one is refused', async () => {
    await stream(pieces());
    const properties = { [MANIFEST_PROPERTY]: JSON.stringify({ version: 1, node_uuid: 'n' }), hw_firmware_type: 'uefi' };
    await images.setProperties(stage.ref, properties);
    await images.setProperties(stage.ref, properties);
    await expect(images.setProperties(stage.ref, { [MANIFEST_PROPERTY]: '{"version":2}' })).rejects.toThrow(/nothing is overwritten/);
    const contents = await stage.contents();
    expect(Object.keys(contents).toSorted()).toEqual([nameOf(stage.ref), `${nameOf(stage.ref)}.json`]);
    expect(JSON.parse(String(contents[`${nameOf(stage.ref)}.json`]))).toEqual({ version: 1, node_uuid: 'n' });
  });

  test('what a conductor that died has left is removed, and the upload succeeds', async () => {
    await stage.leaveBehind?.();
    expect(await images.show(stage.ref)).toMatchObject({ status: 'queued' });
    expect(await images.settle(stage.ref, { timeoutMs: 0, ours: null })).toMatchObject({ status: 'queued' });
    await expectNothing();
    await stage.leaveBehind?.();
    await stream(pieces());
    await images.verify(stage.ref, WHOLE); // as after a death between the commit and the tidying up
    expect(Object.keys(await stage.contents())).toEqual([nameOf(stage.ref)]);
  });
}
