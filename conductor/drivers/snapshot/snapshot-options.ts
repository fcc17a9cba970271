import { z } from 'zod';
import { snapshotOptionsSchema, type SnapshotOptions } from '../../../protocol/capture.ts';
import { InvalidParameterError } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';

/** Options with everything said, but for a downtime that need not have a limit. */
export type EffectiveOptions = Required<Omit<SnapshotOptions, 'max_downtime'>> & Pick<SnapshotOptions, 'max_downtime'>;

const PREFIX = 'snapshot_';
/** Clients that know nothing of types send text. */
const looseBoolean = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')], { error: 'expected true or false' });
const { snapshot_method: method, full: _, ...others } = snapshotOptionsSchema.shape;
const nodeOptionsSchema = z.strictObject({ method, full: looseBoolean.optional(), ...others, allow_partial: looseBoolean.optional() });

/** What `driver_info.snapshot_*` may say, for people. */
export const NODE_OPTIONS: Readonly<Record<string, string>> = {
  snapshot_method: 'How disks of this node are captured, where the request does not say: stream, mount or auto. Optional.',
  snapshot_full: 'Whether snapshots take also what file systems say is free. Optional, false.',
  snapshot_on_read_error: 'What becomes of parts of the disk that can not be read: fail, or zero. Optional.',
  snapshot_compression: 'On the wire: none, zstd or auto. Optional.',
  snapshot_intermediate_storage: 'Where a streamed image goes first: relay, spool or auto. Optional.',
  snapshot_max_downtime: 'How long the server may be down for a snapshot: seconds, or a number with a unit such as 15m. Optional.',
  snapshot_allow_partial: 'Capture the root disk although it is part of something that spans other disks. Optional, false.',
};

type NodeOptions = SnapshotOptions & { allowPartial: boolean };

/** What the node says of its snapshots. @throws InvalidParameterError naming each property that is wrong, and what was expected. */
export function optionsOfNode(driverInfo: JsonObject): NodeOptions {
  const given = Object.fromEntries(Object.entries(driverInfo).flatMap(([name, value]) => (name.startsWith(PREFIX) && value !== null ? [[name.slice(PREFIX.length), value]] : [])));
  const parsed = nodeOptionsSchema.safeParse(given);
  if (!parsed.success) throw new InvalidParameterError(`driver_info: ${parsed.error.issues.map(describeIssue).join('; ')}`);
  const { method: snapshotMethod, allow_partial: allowPartial = false, ...options } = parsed.data;
  return { ...options, ...(snapshotMethod === undefined ? {} : { snapshot_method: snapshotMethod }), allowPartial };
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `unknown ${issue.keys.map((key) => PREFIX + key).join(', ')}; expected ${Object.keys(NODE_OPTIONS).join(', ')}`;
  return `${PREFIX}${issue.path.join('.')}: ${issue.message}`;
}

/** The request goes over the node, the node over the configuration. @throws InvalidParameterError for what can not be together. */
export function effectiveOptions(requested: SnapshotOptions, driverInfo: JsonObject, defaults: EffectiveOptions): EffectiveOptions {
  const { allowPartial: __, ...ofNode } = optionsOfNode(driverInfo);
  refuseContradictions(requested);
  const options = { ...defaults, ...ofNode, ...requested };
  if (options.snapshot_method === 'mount' && options.on_read_error === 'zero') throw new InvalidParameterError('on_read_error "zero" needs a stream: through the mount, which was asked for (snapshot_method), a disk that can not be read fails the capture.');
  return options;
}

/** What is asked for and would have no effect is refused, never ignored. */
function refuseContradictions({ snapshot_method: asked, compression, intermediate_storage: storage }: SnapshotOptions): void {
  if (asked !== 'mount') return;
  if (compression === 'zstd') throw new InvalidParameterError('compression "zstd" needs a stream; with snapshot_method "mount" leave it out.');
  if (storage === 'relay') throw new InvalidParameterError('intermediate_storage "relay" needs a stream; with snapshot_method "mount" every image lands on the spool.');
}
