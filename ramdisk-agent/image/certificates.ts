import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { ImageTree } from './image-tree.ts';
import type { UnpackedRoot } from './unpacked-root.ts';

const SOURCE = 'usr/share/ca-certificates/mozilla';
const BUNDLE = 'etc/ssl/certs/ca-certificates.crt';

/** Debian's authorities in one file, as its update-ca-certificates makes it when the package is installed. */
export function addCertificates(tree: ImageTree, root: UnpackedRoot): void {
  const names = root.list(SOURCE).filter((name) => name.endsWith('.crt'));
  if (names.length === 0) throw new OperationFailedError(`the package ca-certificates has no certificates in ${SOURCE}`);
  tree.addFile(BUNDLE, names.map((name) => readFileSync(join(root.path, SOURCE, name), 'utf8').trim()).join('\n') + '\n');
}
