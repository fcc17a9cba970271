import type { StreamImageParams } from '../../../protocol/agent-api.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { newCredential } from '../credential.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';

export const STREAM_COMMAND = 'snapshot.stream_image';

/** Opens the share for this snapshot only, and gives the agent its command. */
export async function streamCommand(task: SnapshotTask): Promise<Outcome> {
  const [disk] = task.snapshot.disks;
  if (!disk) throw new OperationFailedError('The snapshot names no disk');
  const { url, ca } = await task.share.open(task.snapshot.uuid, task.limits.maxImageBytes);
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
    allow_partial: task.node.driverInfo['snapshot_allow_partial'] === true,
    deadline_s: task.limits.captureTimeoutMs / 1000,
    stall_timeout_s: task.limits.stallTimeoutMs / 1000,
  };
  const report = await task.agent.start(task.node, STREAM_COMMAND, params, task.signal);
  await task.saveSnapshot({ commandId: report.id });
  return 'done';
}
