import type { StreamImageParams } from '../../../protocol/agent-api.ts';
import type { SnapshotOptions } from '../../../protocol/capture.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { newCredential } from '../credential.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';
import { chooseReceiver } from './image-receiver.ts';
import { optionsOfNode, type EffectiveOptions } from './snapshot-options.ts';
import type { UploadSpeed } from './upload-speed.ts';

export const STREAM_COMMAND = 'snapshot.stream_image';

/** What a conductor's captures have in common. */
export interface CaptureSettings {
  defaults: EffectiveOptions;
  /** How often a stream is begun, the first time included. */
  streamAttempts: number;
  /** Of the image service. */
  uploadSpeed: UploadSpeed;
}

/** Opens the share for this snapshot only, or again after a restart: a stream goes where the snapshot's options say. */
export function openShare(task: SnapshotTask, { defaults, uploadSpeed }: CaptureSettings): ReturnType<SnapshotTask['share']['open']> {
  const [disk] = task.snapshot.disks;
  if (!disk) throw new OperationFailedError('The snapshot names no disk');
  const { snapshot_method: method, intermediate_storage: storage } = optionsOf(task, defaults);
  return task.share.open(task.snapshot.uuid, task.limits.maxImageBytes, method === 'mount' ? undefined : chooseReceiver(task, disk, storage, uploadSpeed));
}

/** As stored with the request. */
const optionsOf = ({ snapshot }: SnapshotTask, defaults: EffectiveOptions): EffectiveOptions => ({ ...defaults, ...(snapshot.options as SnapshotOptions) });

/** Gives the agent its command. */
export async function streamCommand(task: SnapshotTask, settings: CaptureSettings): Promise<Outcome> {
  const [disk] = task.snapshot.disks;
  if (!disk) throw new OperationFailedError('The snapshot names no disk');
  const options = optionsOf(task, settings.defaults);
  const { url, ca } = await openShare(task, settings);
  const { password, hash } = newCredential();
  const now = new Date();
  await task.saveSnapshot({ credentialHash: hash, captureDeadlineAt: new Date(now.getTime() + task.limits.captureTimeoutMs), progressAt: now });
  const hints = task.node.instanceInfo['root_device'] ?? task.node.properties['root_device'];
  const params: StreamImageParams = {
    url,
    image_name: disk.imageName,
    username: task.snapshot.uuid,
    password,
    ...(ca === undefined ? {} : { ca }),
    disk_format: 'qcow2',
    ...(hints === undefined || hints === null ? {} : { root_device: hints as StreamImageParams['root_device'] }),
    method: options.snapshot_method,
    full: options.full,
    on_read_error: options.on_read_error,
    compression: options.compression,
    time_is_limited: (task.snapshot.options as SnapshotOptions).max_downtime !== undefined,
    attempts: settings.streamAttempts,
    allow_partial: optionsOfNode(task.node.driverInfo).allowPartial,
    deadline_s: task.limits.captureTimeoutMs / 1000,
    stall_timeout_s: task.limits.stallTimeoutMs / 1000,
  };
  const report = await task.agent.start(task.node, STREAM_COMMAND, params, task.signal);
  await task.saveSnapshot({ commandId: report.id });
  return 'done';
}
