import { hideBin } from 'yargs/helpers';
import { resolve } from 'node:path';
import yargs from 'yargs';
import { messageOf } from '../protocol/errors.ts';

export interface DemoOptions {
  /** A virtual server that boots over the network; null: a simulated one. */
  vm: { firmware: Firmware; ramdiskDirectory: string } | null;
  json: boolean;
  /** Glance v2 endpoint in place of the embedded image service. */
  glance: string | undefined;
  /** From OS_TOKEN; only with --glance. */
  glanceToken: string | undefined;
  /** Kind of terminal, for the progress bar. */
  terminal: string | undefined;
  keep: boolean;
  sizeBytes: number;
}

const FIRMWARES = ['bios', 'uefi'] as const;
type Firmware = (typeof FIRMWARES)[number];

const GIB = 1024 ** 3;
/** The smallest disk that the agent takes for a root disk, as Ironic's does. */
const SMALLEST_GIB = 4;
const LARGEST_GIB = 1024;

/** What a script gets from the demo. */
export const EXIT = { ok: 0, failed: 1, usage: 2, missing: 3, interrupted: 130 } as const;

/** The command line is wrong. */
export class UsageError extends Error {}

const DESCRIPTION = `$0 [--vm [--firmware bios|uefi]] [--json] [--glance URL] [--keep] [--size GIB]

Takes a snapshot of a simulated server, with everything real but the server's metal, and proves it:
builds a disk, starts conductor, image service and simulated machine, enrols the node with the
baremetal command, takes the snapshot, downloads the image, compares it with the disk byte by byte
and file by file, damages the disk, restores it, and removes all of it again.

With --vm the server is a virtual machine (QEMU) with nothing but a BMC and a network card, which
boots the real ramdisk over the network (DHCP, iPXE) and its own disk's boot loader afterwards, in
a network namespace of its own. QEMU runs without KVM: that takes some minutes.`;

const EPILOGUE = `Needs root (loop devices, mounts, namespaces), /dev/fuse, and the programs that "npm run demo" installs.
Needs about 2 GB of free space in TMPDIR (default /tmp), with --vm 2 GB of memory. With --glance a token is taken from OS_TOKEN.

Exit codes: 0 the snapshot is proven and nothing was left behind; 1 something failed; 2 wrong
arguments; 3 something that the demo needs is missing; 130 interrupted (everything is removed first).`;

/** Reads the command line; prints the help and ends the process where it is asked for. @throws UsageError */
export async function readOptions(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Promise<DemoOptions> {
  const parsed = await yargs(hideBin([...argv]))
    .scriptName('npm run demo --')
    .usage(DESCRIPTION)
    .option('vm', { type: 'boolean', default: false, describe: 'A virtual server that boots over the network, instead of a simulated one' })
    .option('firmware', { choices: FIRMWARES, default: FIRMWARES[0], describe: "The virtual server's firmware; with --vm" })
    .option('ramdisk', { type: 'string', requiresArg: true, hidden: true, describe: 'Where the ramdisk is; with --vm. "npm run demo" builds it and says so' })
    .option('json', { type: 'boolean', default: false, describe: 'The last line of standard output is one JSON object with the result' })
    .option('glance', { type: 'string', requiresArg: true, describe: 'Upload to this Glance (v2 endpoint) instead of the embedded image service; the image is deleted at the end' })
    .option('keep', { type: 'boolean', default: false, describe: 'Keep disk, image and logs, and say where they are' })
    .option('size', { type: 'number', requiresArg: true, default: SMALLEST_GIB, describe: `Size of the server's disk in GiB, ${SMALLEST_GIB} or more (a sparse file)` })
    .epilogue(EPILOGUE)
    .check(({ size, glance, vm, ramdisk }) => {
      if (vm && glance !== undefined) throw new Error('--glance: not with --vm, whose network namespace reaches nothing outside');
      if (vm && ramdisk === undefined) throw new Error('--vm: start it by "npm run demo -- --vm", which builds the ramdisk and makes the network namespace');
      if (!Number.isInteger(size) || size < SMALLEST_GIB || size > LARGEST_GIB) throw new Error(`--size: expected a whole number of GiB from ${SMALLEST_GIB} to ${LARGEST_GIB}`);
      if (glance !== undefined && !(URL.canParse(glance) && /^https?:$/.test(new URL(glance).protocol))) throw new Error('--glance: expected an http:// or https:// address');
      return true;
    })
    .fail((message, error) => {
      throw new UsageError(`${message || messageOf(error)}\nRun "npm run demo -- --help" for the options.`);
    })
    .strict()
    .version(false)
    .wrap(100)
    .parseAsync();
  const vm = parsed.vm ? { firmware: parsed.firmware, ramdiskDirectory: resolve(parsed.ramdisk ?? '') } : null;
  return { vm, json: parsed.json, glance: parsed.glance, glanceToken: parsed.glance === undefined ? undefined : environment['OS_TOKEN'], terminal: environment['TERM'], keep: parsed.keep, sizeBytes: parsed.size * GIB };
}
