import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createCpioArchive } from '../../protocol/cpio-archive.ts';
import { ImageTree } from './image-tree.ts';

const MARKER = 'etc/metalshot-ramdisk';
const EMPTY_DIRECTORIES = ['mnt', 'proc', 'run', 'sys', 'root', 'etc/metalshot', 'var/cache/davfs2', 'var/lib', 'var/log'];

/**
 * What the project itself brings into the ramdisk, on top of the layer of Debian packages: the agent, and the files of
 * `root/` next to this one: init and what it starts. Compressed with gzip, which Node.js has.
 */
export function createAgentLayer(projectRoot: string, bundle: Buffer, description: string): Buffer {
  const tree = new ImageTree();
  for (const path of EMPTY_DIRECTORIES) tree.addDirectory(path, path === 'root' ? 0o700 : 0o755);
  tree.addDirectory('tmp', 0o1777);
  tree.addDirectory('dev');
  tree.add({ type: 'character-device', path: 'dev/console', major: 5, minor: 1, mode: 0o600 }); // the kernel opens it for process 1
  tree.addLink('var/run', '/run');
  tree.addLink('etc/mtab', '/proc/self/mounts');
  tree.addFile(MARKER, `${description}\n`);
  tree.addFile('opt/metalshot/agent.cjs', bundle);
  const source = join(projectRoot, 'ramdisk-agent/image/root');
  for (const path of listFiles(source)) {
    const content = readFileSync(join(source, path));
    // not by the file's own mode, which a checkout may change
    tree.addFile(path, content, content.subarray(0, 2).toString() === '#!' ? 0o755 : 0o644);
  }
  return gzipSync(createCpioArchive(tree.entries()), { level: 9 });
}

function listFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}
