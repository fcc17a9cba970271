/** `file:` destinations on a real file system. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDestinations } from '../../../conductor/images/destinations/destinations.ts';
import { DATA, keepsItsPromises, pieces, signal, TIMES, WHOLE, type Stage } from './contract.ts';
import { dataOf } from '../../rig/image-data.ts';

async function start(): Promise<Stage> {
  const root = await mkdtemp(join(tmpdir(), 'destination-root-'));
  await mkdir(join(root, 'rack-1'));
  const directory = join(root, 'rack-1');
  return {
    options: { fileRoots: ['/there-is-no-such-root', root], https: [], times: TIMES },
    ref: `file://${directory}/web-1.qcow2`,
    contents: async () => Object.fromEntries(await Promise.all((await readdir(directory)).map(async (name) => [name, await readFile(join(directory, name))]))) as Record<string, Buffer>,
    leaveBehind: () => writeFile(join(directory, `.web-1.qcow2.${randomUUID()}.metalshot-part`), DATA.subarray(0, 100_000)),
    close: () => rm(root, { recursive: true, force: true }),
  };
}

describe('a file', () => keepsItsPromises(start));

describe('beyond that,', () => {
  let stage: Stage;
  let root: string;
  let images: ReturnType<typeof createDestinations>['images'];
  beforeEach(async () => {
    stage = await start();
    root = stage.options.fileRoots[1] ?? '';
    images = createDestinations(stage.options).images;
  });
  afterEach(() => stage.close());

  test('it is for the conductor alone', async () => {
    await images.upload(stage.ref, dataOf(pieces()), DATA.length, { signal });
    expect((await stat(join(root, 'rack-1/web-1.qcow2'))).mode & 0o777).toBe(0o600);
  });

  test('one that appears under the name during the upload is kept, and the upload fails', async () => {
    const data = pieces(DATA.length, () => void 0);
    async function* disturbed(): AsyncGenerator<Buffer> {
      yield* data;
      await writeFile(join(root, 'rack-1/web-1.qcow2'), 'somebody else was faster');
    }
    await expect(images.upload(stage.ref, dataOf(disturbed()), DATA.length, { signal })).rejects.toThrow(/nothing is overwritten/);
    expect(Object.entries(await stage.contents()).map(([name, data]) => [name, String(data)])).toEqual([['web-1.qcow2', 'somebody else was faster']]);
    await expect(images.verify(stage.ref, WHOLE)).rejects.toThrow(/size: expected/);
    await expect(images.deactivate(stage.ref, { ours: null })).rejects.toThrow(/left as they are/);
  });

  test('only what belongs to this name is tidied up', async () => {
    const others = ['.web-1.qcow2.notes', `.web-10.qcow2.${randomUUID()}.metalshot-part`, '.web-1.qcow2.x.metalshot-part', 'web-1.qcow2.bak'];
    for (const name of others) await writeFile(join(root, 'rack-1', name), 'x');
    await images.settle(stage.ref, { timeoutMs: 0, ours: null });
    expect(Object.keys(await stage.contents()).toSorted()).toEqual(others.toSorted());
  });

  test.each([
    ['a root of no configuration', 'file:///etc/web-1.qcow2'],
    ['a directory whose name begins like a root', 'file://ROOT-other/web-1.qcow2'],
    ['a directory that is not there', 'file://ROOT/rack-2/web-1.qcow2'],
    ['a symbolic link that leads out of the root', 'file://ROOT/away/web-1.qcow2'],
    ['a symbolic link that stays in the root', 'file://ROOT/same/web-1.qcow2'],
    ['a file that is no directory', 'file://ROOT/file/web-1.qcow2'],
  ])('%s is refused, in words that tell nothing of what is there', async (_what, pattern) => {
    await mkdir(`${root}-other`);
    try {
      await symlink(`${root}-other`, join(root, 'away'));
      await symlink(join(root, 'rack-1'), join(root, 'same'));
      await writeFile(join(root, 'file'), '');
      const ref = pattern.replace('ROOT', root);
      await expect(images.show(ref)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/directory is not in one of snapshot\.file_roots, is not there, or is reached by a symbolic link/) });
      await expect(images.upload(ref, dataOf(pieces()), DATA.length, { signal })).rejects.toMatchObject({ httpStatus: 400 });
      expect(await readdir(`${root}-other`)).toEqual([]);
    } finally {
      await rm(`${root}-other`, { recursive: true });
    }
  });

  test('a symbolic link under the name itself is never followed: it is in the way', async () => {
    await symlink(join(root, 'elsewhere.qcow2'), join(root, 'rack-1/web-1.qcow2'));
    expect(await images.show(stage.ref)).toMatchObject({ status: 'active' });
    await expect(images.upload(stage.ref, dataOf(pieces()), DATA.length, { signal })).rejects.toThrow(/nothing is overwritten/);
    expect(await readdir(root)).toEqual(['rack-1']);
  });

  test('a manifest without an image is in the way', async () => {
    await writeFile(join(root, 'rack-1/web-1.qcow2.json'), '{}');
    expect(await images.show(stage.ref)).toMatchObject({ status: 'killed' });
  });

  test('without roots nothing is written anywhere', async () => {
    await expect(createDestinations({ ...stage.options, fileRoots: [] }).images.show(stage.ref)).rejects.toThrow(/snapshot\.file_roots names no directory/);
  });

  test('a directory that is closed to us fails the upload with what the system says', async () => {
    if (process.getuid?.() === 0) return expect((await stat(root)).uid).toBe(0); // root is kept out of nowhere
    await chmod(join(root, 'rack-1'), 0o500);
    await expect(images.upload(stage.ref, dataOf(pieces()), DATA.length, { signal })).rejects.toThrow(/EACCES/);
  });
});
