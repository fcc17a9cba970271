import { hideBin } from 'yargs/helpers';
import yargs from 'yargs';
import { messageOf } from '../protocol/errors.ts';

export interface DemoOptions {
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

const GIB = 1024 ** 3;
/** The smallest disk that the agent takes for a root disk, as Ironic's does. */
const SMALLEST_GIB = 4;
const LARGEST_GIB = 1024;

/** What a script gets from the demo. */
export const EXIT = { ok: 0, failed: 1, usage: 2, missing: 3, interrupted: 130 } as const;

/** The command line is wrong. */
export class UsageError extends Error {}

const DESCRIPTION = `$0 [--json] [--glance URL] [--keep] [--size GIB]

Takes a snapshot of a simulated server, with everything real but the server's metal, and proves it:
builds a disk, starts conductor, image service and simulated machine, enrols the node with the
baremetal command, takes the snapshot, downloads the image, compares it with the disk byte by byte
and file by file, and removes all of it again.`;

const EPILOGUE = `Needs root (loop devices, mounts, namespaces), /dev/fuse, and the programs that "npm run demo" installs.
Needs about 2 GB of free space in TMPDIR (default /tmp). With --glance a token is taken from OS_TOKEN.

Exit codes: 0 the snapshot is proven and nothing was left behind; 1 something failed; 2 wrong
arguments; 3 something that the demo needs is missing; 130 interrupted (everything is removed first).`;

/** Reads the command line; prints the help and ends the process where it is asked for. @throws UsageError */
export async function readOptions(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Promise<DemoOptions> {
  const parsed = await yargs(hideBin([...argv]))
    .scriptName('npm run demo --')
    .usage(DESCRIPTION)
    .option('json', { type: 'boolean', default: false, describe: 'The last line of standard output is one JSON object with the result' })
    .option('glance', { type: 'string', requiresArg: true, describe: 'Upload to this Glance (v2 endpoint) instead of the embedded image service; the image is deleted at the end' })
    .option('keep', { type: 'boolean', default: false, describe: 'Keep disk, image and logs, and say where they are' })
    .option('size', { type: 'number', requiresArg: true, default: SMALLEST_GIB, describe: `Size of the server's disk in GiB, ${SMALLEST_GIB} or more (a sparse file)` })
    .epilogue(EPILOGUE)
    .check(({ size, glance }) => {
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
  return { json: parsed.json, glance: parsed.glance, glanceToken: parsed.glance === undefined ? undefined : environment['OS_TOKEN'], terminal: environment['TERM'], keep: parsed.keep, sizeBytes: parsed.size * GIB };
}
