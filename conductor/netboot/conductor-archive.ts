import { createCpioArchive, type CpioEntry } from '../../protocol/cpio-archive.ts';
import { RAMDISK_CA_PATH, RAMDISK_CONFIG_PATH, type RamdiskConfig } from '../../protocol/ramdisk-boot.ts';

/**
 * The small initramfs, the same for all machines: what the ramdisk has to know of this conductor.
 * @param certificate PEM that the conductor's own is checked against; undefined: plain http.
 */
export function createConductorArchive(config: RamdiskConfig, certificate: string | undefined): Buffer {
  const files = [
    { path: RAMDISK_CONFIG_PATH, content: `${JSON.stringify(config, null, 2)}\n` },
    ...(certificate === undefined ? [] : [{ path: RAMDISK_CA_PATH, content: certificate }]),
  ].map(({ path, content }) => ({ path: path.replace(/^\//, ''), content }));
  const directories = new Set(files.flatMap(({ path }) => parentsOf(path)));
  return createCpioArchive([...[...directories].map((path): CpioEntry => ({ type: 'directory', path })), ...files.map((file): CpioEntry => ({ type: 'file', ...file }))]);
}

/** `a/b/c` lies in `a` and `a/b`. */
const parentsOf = (path: string): string[] => {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
};
