/**
 * What a file is by its own bytes, looked at before any program parses it: qemu-img itself follows references to other
 * files of this machine that a hostile image names (the class of CVE-2024-44082 and CVE-2024-4467).
 */
import { open } from 'node:fs/promises';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageFormat } from './declared-format.ts';

const HEAD_BYTES = 64 * 1024;
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

/** What each format begins with; from QEMU's docs/interop and the block drivers' own probes. */
const SIGNATURES: readonly { format: string; at: number; bytes: Buffer }[] = [
  { format: 'qcow2', at: 0, bytes: ascii('QFI\xfb') },
  { format: 'qed', at: 0, bytes: ascii('QED\0') },
  { format: 'vmdk', at: 0, bytes: ascii('KDMV') },
  { format: 'vmdk', at: 0, bytes: ascii('COWD') },
  { format: 'vmdk', at: 0, bytes: ascii('# Disk DescriptorFile') },
  { format: 'vhdx', at: 0, bytes: ascii('vhdxfile') },
  { format: 'vpc', at: 0, bytes: ascii('conectix') },
  { format: 'vdi', at: 0x40, bytes: Buffer.from('7f10dabe', 'hex') },
  { format: 'luks', at: 0, bytes: ascii('LUKS\xba\xbe') },
  { format: 'parallels', at: 0, bytes: ascii('WithoutFreeSpace') },
  { format: 'parallels', at: 0, bytes: ascii('WithouFreSpacExt') },
  { format: 'bochs', at: 0, bytes: ascii('Bochs Virtual HD Image') },
  { format: 'cloop', at: 0, bytes: ascii('#!/bin/sh\n#V2.0 Format') },
];

/** Every format whose signature the file's beginning carries. */
export function formatsOf(head: Buffer): string[] {
  const found = SIGNATURES.filter(({ at, bytes }) => head.subarray(at, at + bytes.length).equals(bytes)).map(({ format }) => format);
  if (isVmdkDescriptor(head.subarray(0, 4096).toString('latin1'))) found.push('vmdk');
  return [...new Set(found)];
}

/** A VMDK descriptor is text, and may have comments and empty lines before its first setting. Line by line: one pattern for it all takes strangers' text exponential time. */
function isVmdkDescriptor(text: string): boolean {
  const setting = text.split('\n').map((line) => line.trim()).find((line) => line !== '' && !line.startsWith('#'));
  return setting !== undefined && /^version[ \t]*=/i.test(setting);
}

/** Incompatible features of a qcow2 (QEMU docs/interop/qcow2.txt), by bit; what is not named here is unknown. */
const FEATURES: readonly ({ refused: string } | 'understood')[] = [
  { refused: 'it was not closed cleanly (its dirty flag is set): repair it with "qemu-img check -r all"' },
  { refused: 'it is marked corrupt' },
  { refused: 'its data lie in another file (external data file)' },
  'understood', // compression type
  'understood', // extended L2 entries
];

/** Why this qcow2 is not taken, or null. */
export function qcow2Problem(head: Buffer): string | null {
  if (head.length < 72) return 'it ends within its header';
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) return `its version is ${version}, expected 2 or 3`;
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0) return 'it has a backing file: flatten it with "qemu-img convert"';
  if (head.readUInt32BE(32) !== 0) return 'it is encrypted';
  if (version === 2) return null;
  if (head.length < 104) return 'it ends within its header';
  const features = head.readBigUInt64BE(72);
  for (let bit = 0; bit < 64; bit += 1) {
    if ((features & (1n << BigInt(bit))) === 0n) continue;
    const feature = FEATURES[bit];
    if (feature === undefined) return `it has a feature that is not known here (incompatible feature bit ${bit})`;
    if (feature !== 'understood') return feature.refused;
  }
  return null;
}

/**
 * The file is, by its beginning, of the declared format and refers to no other file.
 * @throws InvalidParameterError
 */
export async function requireContent(path: string, declared: ImageFormat, shown: string): Promise<void> {
  const head = await readHead(path);
  const found = formatsOf(head);
  const expected = declared === 'raw' ? [] : [declared];
  if (found.length !== expected.length || found.some((format) => format !== declared)) {
    throw new InvalidParameterError(`The image ${shown} is said to be ${declared}, but its data are ${found.length === 0 ? 'raw, or of a format that is not known here' : found.join(' and ')}. Correct its disk format, or convert it with "qemu-img convert -O ${declared}".`, { declared, found });
  }
  const problem = declared === 'qcow2' ? qcow2Problem(head) : null;
  if (problem !== null) throw new InvalidParameterError(`The image ${shown} is not written to machines: ${problem}.`, { declared });
}

async function readHead(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
