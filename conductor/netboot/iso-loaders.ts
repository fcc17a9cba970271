import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { SYSTEM_PATH } from '../../protocol/program.ts';

/** Debian's signed first and second boot loader, as files. */
export interface SignedLoaders {
  shim: string;
  /** The variant that looks for its configuration on a CD. */
  grub: string;
  sizeBytes: number;
}

/** Names in the ramdisk's directory of shim-signed's shimx64.efi.signed and grub-efi-amd64-signed's gcdx64.efi.signed. */
const SHIM = 'shimx64.efi';
const GRUB = 'gcdx64.efi';
const PROGRAMS = ['grub-mkrescue', 'xorriso', 'mformat', 'mmd', 'mcopy'];
const GRUB_PLATFORMS: Readonly<Record<string, string>> = { '/usr/lib/grub/i386-pc': 'grub-pc-bin', '/usr/lib/grub/x86_64-efi': 'grub-efi-amd64-bin' };

/** Null: the ramdisk's directory does not have them. */
export async function findSignedLoaders(ramdiskDirectory: string): Promise<SignedLoaders | null> {
  const [shim, grub] = [join(ramdiskDirectory, SHIM), join(ramdiskDirectory, GRUB)];
  const sizes = await Promise.all([shim, grub].map(async (path) => stat(path).then(({ size }) => size, () => null))); // not there, or not for us: the same
  return sizes[0] && sizes[1] ? { shim, grub, sizeBytes: sizes[0] + sizes[1] } : null;
}

/** @throws InvalidParameterError naming the programs and files that making an ISO lacks on this host, with their packages. */
export async function checkIsoPrograms(): Promise<void> {
  const missingPrograms = await missing(PROGRAMS, (name) => SYSTEM_PATH.split(':').map((directory) => join(directory, name)));
  const missingPlatforms = await missing(Object.keys(GRUB_PLATFORMS), (directory) => [join(directory, 'modinfo.sh')]);
  if (missingPrograms.length + missingPlatforms.length === 0) return;
  throw new InvalidParameterError(`This conductor cannot make ISOs for virtual media: there is no ${[...missingPrograms, ...missingPlatforms].join(', no ')}. Install the Debian packages grub-common, xorriso, mtools, ${Object.values(GRUB_PLATFORMS).join(', ')}.`);
}

async function missing(names: readonly string[], placesOf: (name: string) => string[]): Promise<string[]> {
  const found = await Promise.all(names.map(async (name) => (await Promise.all(placesOf(name).map(exists))).includes(true)));
  return names.filter((_name, index) => !found[index]);
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false);
