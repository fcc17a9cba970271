import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';

/** By path: type, mode, owner, number of links, size, link target; and sha256 of what is a file. */
export type TreeListing = ReadonlyMap<string, string>;

const TIMEOUT_MS = 300_000;

/**
 * Arguments: directory, file for the entries, file for the digests. NUL ends every field, as names may hold anything else.
 * Sizes and link counts of directories are the file system's own business.
 */
const LIST = `
set -eu
cd "$1"
find . -xdev -mindepth 1 -path ./lost+found -prune -o -type d -printf '%p\\0%y %m %U:%G\\0' -o -printf '%p\\0%y %m %U:%G %n %s %l\\0' > "$2"
find . -xdev -mindepth 1 -path ./lost+found -prune -o -type f -print0 | xargs -0 -r sha256sum --zero -- > "$3"
`;
/** Before the same: image, mount point, offset and size of its ext4 file system. */
const MOUNT_AND_LIST = `
set -eu
mount -t ext4 -o "ro,loop,offset=$3,sizelimit=$4" "$1" "$2"
shift; shift; shift; shift
${LIST}`;

export interface TreeSource {
  directory: string;
  /** Where temporary files may be put. */
  workDirectory: string;
  /** Mounted at `directory`, read-only, in a mount namespace that ends with the listing. */
  mounted?: { image: string; offsetBytes: number; sizeBytes: number };
  signal?: AbortSignal;
}

/** Reads a whole tree, every byte of its files. @throws OperationFailedError when something in it cannot be read. */
export async function listTree({ directory, workDirectory, mounted, signal }: TreeSource): Promise<TreeListing> {
  const output = await mkdtemp(join(workDirectory, 'listing-'));
  const [entriesFile, digestsFile] = [join(output, 'entries'), join(output, 'digests')];
  const options = { timeoutMs: TIMEOUT_MS, signal, env: { PATH: SYSTEM_PATH, LC_ALL: 'C' } };
  try {
    if (mounted) {
      const { image, offsetBytes, sizeBytes } = mounted;
      // A namespace of its own: whatever ends this process, kernel takes mount and loop device away with it.
      const namespace = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--'];
      await runProgram('unshare', [...namespace, 'sh', '-c', MOUNT_AND_LIST, 'list', image, directory, String(offsetBytes), String(sizeBytes), directory, entriesFile, digestsFile], options);
    } else await runProgram('sh', ['-c', LIST, 'list', directory, entriesFile, digestsFile], options);
    return joinListing(fieldsOf(await readFile(entriesFile, 'utf8')), fieldsOf(await readFile(digestsFile, 'utf8')));
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}

const fieldsOf = (text: string): string[] => text.split('\0').slice(0, -1);

function joinListing(entries: readonly string[], digests: readonly string[]): TreeListing {
  const digestOf = new Map(digests.map((line) => [line.slice(66), line.slice(0, 64)]));
  const listing = new Map<string, string>();
  for (let index = 0; index + 1 < entries.length; index += 2) {
    const [path, facts] = [entries[index] ?? '', entries[index + 1] ?? ''];
    const digest = digestOf.get(path);
    if (facts.startsWith('f ') && digest === undefined) throw new OperationFailedError(`${path} could not be read to its end`);
    listing.set(path, digest === undefined ? facts : `${facts} ${digest}`);
  }
  return listing;
}

/** What differs between two listings, a line each; empty when they are equal. */
export function compareListings(expected: TreeListing, found: TreeListing): string[] {
  const differences: string[] = [];
  for (const [path, facts] of expected) {
    const other = found.get(path);
    if (other === undefined) differences.push(`${path}: missing`);
    else if (other !== facts) differences.push(`${path}: expected "${facts}", found "${other}"`);
  }
  for (const path of found.keys()) if (!expected.has(path)) differences.push(`${path}: not expected`);
  return differences;
}

export const countFiles = (listing: TreeListing): number => [...listing.values()].filter((facts) => facts.startsWith('f ')).length;

/** Bytes in files, each hard link counted once per name. */
export const countBytes = (listing: TreeListing): number => [...listing.values()].filter((facts) => facts.startsWith('f ')).reduce((sum, facts) => sum + Number(facts.split(' ')[4]), 0);
