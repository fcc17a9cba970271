import { COMPRESSIONS, INTERMEDIATE_STORAGES, READ_ERROR_POLICIES, SNAPSHOT_METHODS, durationSchema, type SnapshotOptions } from '../../../protocol/capture.ts';
import type { Arguments } from '../../arguments.ts';
import type { OptionSpec } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';

/** Options of a request; what is absent, the node and the service decide. */
export type SnapshotWish = Readonly<SnapshotOptions>;

/** How a disk is captured, as typed. */
export const SNAPSHOT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  method: { kind: 'text', describe: 'stream: one pass, used blocks only; mount: qemu-img onto a mounted share; auto: a stream, and the mount where a stream can not work', choices: SNAPSHOT_METHODS },
  full: { kind: 'flag', describe: 'Take also what file systems say is free, deleted data among it' },
  'on-read-error': { kind: 'text', describe: 'A part of the disk that can not be read fails the snapshot, or is zeros in the image and recorded', choices: READ_ERROR_POLICIES },
  compression: { kind: 'text', describe: 'On the wire; auto: where the link is slower than the compressor', choices: COMPRESSIONS },
  'intermediate-storage': { kind: 'text', describe: 'relay: straight to the image service; spool: onto the conductor first, with the server back before the upload', choices: INTERMEDIATE_STORAGES },
  'max-downtime': { kind: 'text', describe: 'How long the server may be down: seconds, or a number with a unit (90s, 15m, 1h); when it would take longer, it is booted back and the snapshot fails' },
};

/** @throws UsageError */
export function readSnapshotOptions(args: Arguments): SnapshotWish {
  const full = args.flag('full');
  const given: Record<string, unknown> = {
    snapshot_method: args.text('method'),
    full,
    on_read_error: args.text('on-read-error'),
    compression: args.text('compression'),
    intermediate_storage: args.text('intermediate-storage'),
    max_downtime: readDuration(args.text('max-downtime')),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function readDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = durationSchema.safeParse(text);
  if (!parsed.success) throw new UsageError(`--max-downtime: ${parsed.error.issues.map(({ message }) => message).join('; ')}`);
  return parsed.data;
}
