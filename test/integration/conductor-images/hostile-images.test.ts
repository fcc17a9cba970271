/** Images that want to be more than a disk: refused before a program follows them, and nothing of them stays. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageStage, GIB, MIB, fileSource, patchFile, unaborted } from './image-stage.ts';

/** Of a qcow2's header (QEMU docs/interop/qcow2.txt). */
const SIZE_AT = 24;
const INCOMPATIBLE_FEATURES_AT = 72;

let stage: ImageStage;
let raw: string;
let sound: string;
/** Outside of the roots, and nobody's to read. */
let secret: string;
beforeAll(async () => {
  stage = await ImageStage.start({ limits: { maxImageBytes: GIB } });
  raw = await stage.makeRaw('disk.raw', 16 * MIB);
  sound = join(stage.sources, 'sound.qcow2');
  await stage.qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, sound);
  secret = join(stage.directory, 'secret.raw');
  await writeFile(secret, Buffer.alloc(MIB, 'secret '));
});
afterAll(() => stage.close());

async function expectRefused(path: string, format: string | null, reason: RegExp): Promise<void> {
  const uuid = randomUUID();
  await expect(stage.prepare(uuid, await fileSource(path, format))).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(reason) });
  expect(await stage.images.prepared(uuid)).toBeNull();
  expect(await readdir(stage.spool)).toEqual([]);
}

const inSources = (name: string): string => join(stage.sources, name);
const copyOfSound = async (name: string): Promise<string> => {
  await copyFile(sound, inSources(name));
  return inSources(name);
};
const features = (bits: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(bits);
  return bytes;
};

describe('a qcow2 that refers to something else', () => {
  test('a backing file', async () => {
    const path = inSources('backed.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', '-b', secret, '-F', 'raw', path);
    await expectRefused(path, 'qcow2', /backing file/);
  });

  test('a backing file behind one of the pseudo protocols', async () => {
    const path = inSources('backed-json.qcow2');
    await stage.qemuImg('create', '-u', '-f', 'qcow2', '-b', `json:{"driver":"raw","file":{"driver":"file","filename":"${secret}"}}`, '-F', 'raw', path, '16M');
    await expectRefused(path, 'qcow2', /backing file/);
  });

  test('an external data file', async () => {
    const path = inSources('data-file.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', '-o', `data_file=${inSources('data-of-it.raw')},data_file_raw=on`, path, '16M');
    await expectRefused(path, 'qcow2', /external data file/);
  });

  test('a key', async () => {
    const path = inSources('encrypted.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', '--object', 'secret,id=key,data=abc123', '-o', 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10', path, '16M');
    await expectRefused(path, 'qcow2', /encrypted/);
  });
});

describe('a qcow2 that is not sound', () => {
  test.each([
    ['marked dirty', 1n, /not closed cleanly/],
    ['marked corrupt', 2n, /marked corrupt/],
    ['with a feature that nobody knows', 1n << 40n, /incompatible feature bit 40/],
  ])('%s', async (name, bits, reason) => {
    const path = await copyOfSound(`${name.replaceAll(' ', '-')}.qcow2`);
    await patchFile(path, INCOMPATIBLE_FEATURES_AT, features(bits));
    await expectRefused(path, 'qcow2', reason);
  });

  test('cut off: its missing clusters would read as zeros', async () => {
    const path = await copyOfSound('cut.qcow2');
    await truncate(path, Math.floor((await stat(path)).size / 2));
    await expectRefused(path, 'qcow2', /cut off or damaged/);
  });

  test('cut off within its header', async () => {
    const path = await copyOfSound('header.qcow2');
    await truncate(path, 80);
    await expectRefused(path, 'qcow2', /ends within its header/);
  });

  test('cut off in the middle of its tables', async () => {
    const path = await copyOfSound('tables.qcow2');
    await truncate(path, 70_000);
    await expectRefused(path, 'qcow2', /qemu-img/);
  });

  test('of a huge virtual size', async () => {
    const path = inSources('huge.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', path, '64T');
    await expectRefused(path, 'qcow2', /70368744177664 bytes, the limit is 1073741824/);
    const absurd = await copyOfSound('absurd.qcow2');
    await patchFile(absurd, SIZE_AT, Buffer.from('7ffffffffffffe00', 'hex'));
    await expectRefused(absurd, 'qcow2', /the limit is|cannot read it/);
  });
});

describe('data that are not what they are said to be', () => {
  test('raw data called qcow2', () => expectRefused(raw, 'qcow2', /said to be qcow2, but its data are raw/));
  test('qcow2 data called raw', () => expectRefused(sound, 'raw', /said to be raw, but its data are qcow2/));
  test('qcow2 data in a file called .img', async () => expectRefused(await copyOfSound('cloud.img'), null, /said to be raw, but its data are qcow2/));

  test.each(['vmdk', 'vhdx', 'vdi', 'vpc', 'qed', 'parallels'])('%s data called raw', async (format) => {
    const path = inSources(`foreign.${format}`);
    await stage.qemuImg('create', '-f', format, path, '16M');
    await expectRefused(path, 'raw', new RegExp(`said to be raw, but its data are ${format}`));
    await expectRefused(path, 'qcow2', new RegExp(`said to be qcow2, but its data are ${format}`));
  });

  test('LUKS data called raw', async () => {
    const path = inSources('foreign.luks');
    await stage.qemuImg('create', '-f', 'luks', '--object', 'secret,id=key,data=abc123', '-o', 'key-secret=key,iter-time=10', path, '16M');
    await expectRefused(path, 'raw', /its data are luks/);
  });

  test.each([
    ['as it comes', '# Disk DescriptorFile\nversion=1\n'],
    ['with another comment first', '# harmless\n\n   # more\nversion=1\n'],
    ['without any comment', 'version = 1\n'],
  ])('a VMDK descriptor that names a file of this machine, %s', async (name, beginning) => {
    const path = inSources(`descriptor-${name.replaceAll(' ', '-')}.raw`);
    await writeFile(path, Buffer.concat([Buffer.from(`${beginning}CID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "${secret}" 0\n`), Buffer.alloc(4096)]));
    await expectRefused(path, 'raw', /its data are vmdk/);
  });

  test('data with the signatures of two formats', async () => {
    const path = await copyOfSound('two.qcow2');
    await patchFile(path, 0x40, Buffer.from('7f10dabe', 'hex'));
    await expectRefused(path, 'qcow2', /its data are qcow2 and vdi/);
  });

  test('data with another digest: both digests are named, and nothing stays', async () => {
    const uuid = randomUUID();
    const wrong = '0'.repeat(64);
    await expect(stage.prepare(uuid, await fileSource(sound, 'qcow2', wrong))).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(new RegExp(`twice: received \\d+ bytes with sha256 (?!0{64})[0-9a-f]{64}, expected ${wrong}`)) });
    expect(await readdir(stage.spool)).toEqual([]);
  });
});

describe('sources that no image lies at', () => {
  const describeSource = (source: string, more: { diskFormat?: string; hashValue?: string | null } = {}): Promise<unknown> =>
    stage.images.describe({ source, diskFormat: 'qcow2', hashAlgo: null, hashValue: 'a'.repeat(64), ...more }, unaborted());

  test.each(['json:{"driver":"file","filename":"/etc/passwd"}', 'nbd://127.0.0.1/x', 'ssh://host/image', 'ftp://host/image', '/etc/passwd', 'glance://../images', 'glance://host/x', '', 'data:,x'])('%j', async (source) => {
    await expect(describeSource(source)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('Expected an image source') });
  });

  test('a URL without a digest, with one that cannot be checked, or in a format that is not written', async () => {
    await expect(describeSource('http://192.0.2.1/x', { hashValue: null })).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('needs a digest') });
    await expect(describeSource('http://192.0.2.1/x', { hashValue: 'crc32:00000000' })).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('cannot be checked') });
    await expect(describeSource('http://192.0.2.1/x', { hashValue: 'https://192.0.2.1/SHA256SUMS' })).rejects.toMatchObject({ httpStatus: 400 });
    await expect(describeSource('http://192.0.2.1/x', { diskFormat: 'vmdk' })).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('vmdk') });
    await expect(stage.images.describe({ source: 'http://192.0.2.1/x', diskFormat: null, hashAlgo: null, hashValue: 'a'.repeat(64) }, unaborted())).rejects.toMatchObject({ message: expect.stringContaining('image_disk_format') });
  });
});

describe('file URLs', () => {
  const refusal = { httpStatus: 400, message: expect.stringContaining('No image is read from') };
  const look = async (url: string): Promise<unknown> => stage.images.describe({ ...(await fileSource(raw, 'raw')), source: url }, unaborted());

  test('an image below a root is found, also by a link within it', async () => {
    await symlink(raw, inSources('link.raw'));
    for (const path of [raw, inSources('link.raw')]) expect(await look(`file://${path}`)).toMatchObject({ diskFormat: 'raw', sizeBytes: 16 * MIB, virtualSizeBytes: 16 * MIB, hashAlgo: 'sha256' });
    expect(await look(`file://localhost${raw}`)).toMatchObject({ sizeBytes: 16 * MIB });
  });

  test('nothing outside is, whichever way it is named, and no more is said of it than of a file that is not there', async () => {
    await symlink(secret, inSources('to-secret.raw'));
    await symlink(stage.directory, inSources('out'));
    await mkdir(`${stage.sources}-beside`);
    await writeFile(join(`${stage.sources}-beside`, 'image.raw'), 'x');
    const messages = new Set<string>();
    for (const url of [`file://${secret}`, `file://${stage.sources}/../secret.raw`, `file://${stage.sources}/%2e%2e/secret.raw`, `file://${inSources('to-secret.raw')}`, `file://${inSources('out')}/secret.raw`, `file://${stage.sources}-beside/image.raw`, `file://${inSources('missing.raw')}`]) {
      await expect(look(url)).rejects.toMatchObject(refusal);
      await look(url).catch((error: unknown) => messages.add((error as Error).message.replace(/^.*raw: /, '')));
    }
    expect([...messages]).toEqual(['it is not in a directory of deploy.file_roots, or there is no such file.']);
  });

  test('none is for a project\'s people, however it is spelt, there or not', async () => {
    for (const url of [`file://${raw}`, ` FILE:${raw}`, `fi\tle://${raw}`, `file://${inSources('missing.raw')}`]) {
      await expect(stage.images.describe({ ...(await fileSource(raw, 'raw')), source: url }, unaborted(), 'a project')).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('are for administrators') });
    }
  });

  test('encoded slashes, null bytes, other hosts: refused', async () => {
    for (const url of [`file://${stage.sources}/..%2fsecret.raw`, `file://${stage.sources}%2fdisk.raw`, `file://${raw}%00`, `file://elsewhere${raw}`]) await expect(look(url)).rejects.toMatchObject(refusal);
  });

  test('what is no regular file is refused', async () => {
    await mkdir(inSources('directory.raw'));
    await expect(look(`file://${inSources('directory.raw')}`)).rejects.toMatchObject({ message: expect.stringContaining('regular file') });
    await symlink('/dev/zero', inSources('zero.raw'));
    await expect(look(`file://${inSources('zero.raw')}`)).rejects.toMatchObject(refusal);
  });

  test('a file that was described and then replaced by a link is not followed', async () => {
    const path = inSources('swapped.raw');
    await copyFile(raw, path);
    const source = await fileSource(path);
    await stage.images.describe(source, unaborted());
    await symlink(secret, `${path}.link`);
    await rename(`${path}.link`, path);
    await expect(stage.prepare(randomUUID(), source)).rejects.toMatchObject(refusal);
  });

  test('without roots nothing is read at all', async () => {
    const rootless = await ImageStage.start({ fileRoots: [] });
    try {
      await expect(rootless.images.describe(await fileSource(raw), unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('deploy.file_roots names no directory') });
    } finally {
      await rootless.close();
    }
  });
});
