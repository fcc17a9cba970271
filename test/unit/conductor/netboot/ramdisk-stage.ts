import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOADERS = ['grub-local.efi', 'undionly.kpxe', 'snponly.efi'];

/** A directory as `npm run ramdisk` leaves it, with contents of a test's own. */
export class RamdiskStage {
  readonly root: string;
  readonly directory: string;

  private constructor(root: string) {
    this.root = root;
    this.directory = join(root, 'ramdisk');
  }

  static async make(files: Record<string, string | Buffer> = {}): Promise<RamdiskStage> {
    const stage = new RamdiskStage(await mkdtemp(join(tmpdir(), 'metalshot-boot-files-')));
    await stage.publish(files);
    return stage;
  }

  /** Replaces the directory as a whole, as a build does. */
  async publish(files: Record<string, string | Buffer> = {}): Promise<void> {
    const building = join(this.root, 'building');
    await mkdir(building);
    const contents = { vmlinuz: 'a kernel', initramfs: 'an initramfs', ...Object.fromEntries(LOADERS.map((name) => [name, `loader ${name}`])), ...files };
    const described = Object.entries(contents).map(([name, content]) => [name, { size_bytes: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex') }]);
    for (const [name, content] of Object.entries(contents)) await writeFile(join(building, name), content);
    await writeFile(join(building, 'manifest.json'), JSON.stringify({ format: 1, files: Object.fromEntries(described) as unknown }));
    await rm(this.directory, { recursive: true, force: true });
    await rename(building, this.directory);
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }
}
