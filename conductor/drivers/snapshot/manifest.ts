import { setTimeout as sleep } from 'node:timers/promises';
import { capturedDiskSchema } from '../../../protocol/agent-api.ts';
import { captureReportSchema } from '../../../protocol/capture.ts';
import { MetalshotError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { MANIFEST_PROPERTY, type ImageManifest } from '../../../protocol/image-manifest.ts';
import type { Inventory } from '../../../protocol/inventory.ts';
import type { NodeRow, SnapshotDiskRow, SnapshotRow } from '../../db/rows.ts';
import type { SnapshotTask } from '../interfaces.ts';

/** The image is complete by then: its manifest is worth a few tries, not the hours that the data were. */
const ATTEMPTS = 4;
/** Glance's own name for it (its "Useful image properties"), which Nova and others read. */
const FIRMWARE_PROPERTY = 'hw_firmware_type';
const MOST_PARTS = 100;

/**
 * Tells with the image what it was made of. Repeated after a crash it sets the same again. A manifest that can not be set
 * fails no snapshot: the image is complete and verified without it; the node's history says so.
 */
export async function recordManifest(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  try {
    const manifest = describeCapture(task.snapshot, disk, task.node, await task.inventory());
    await setProperties(task, disk.imageRef, manifest);
  } catch (error) {
    if (task.signal.aborted && !isTimeout(task.signal.reason)) throw error; // the conductor stops: the phase is done again
    task.log.warn({ image: disk.imageRef, error: messageOf(error) }, 'the image has no manifest: it could not be set');
    await task.noteEvent(`Image ${disk.imageRef} is complete and verified, but its manifest could not be set (plans for it can not compare machines): ${messageOf(error)}`);
  }
}

const isTimeout = (reason: unknown): boolean => reason instanceof DOMException && reason.name === 'TimeoutError';

/** What the image was made of. Depends on stored facts only, so that it is the same whenever it is made. */
export function describeCapture(snapshot: Readonly<SnapshotRow>, disk: Readonly<SnapshotDiskRow>, node: Readonly<NodeRow>, inventory: Inventory | null): ImageManifest {
  const device = capturedDiskSchema.safeParse(disk.device);
  const { sizeBytes, virtualSizeBytes, osHashValue } = disk;
  if (!device.success || sizeBytes === null || virtualSizeBytes === null || osHashValue === null) throw new OperationFailedError(`The agent's report on ${disk.imageName} is not complete: no manifest can be made of it`);
  return {
    version: 1,
    node_uuid: node.uuid,
    snapshot_uuid: snapshot.uuid,
    captured_at: (snapshot.poweredOffAt ?? snapshot.startedAt).toISOString(),
    agent_version: node.agentVersion,
    boot_mode: inventory?.boot.current_boot_mode ?? null,
    disk: device.data,
    storage_drivers: driversOf(inventory?.disks),
    network_drivers: driversOf(inventory?.interfaces),
    ...describeReport(disk),
    image: { size_bytes: sizeBytes, virtual_size_bytes: virtualSizeBytes, os_hash_algo: disk.osHashAlgo ?? IMAGE_HASH_ALGO, os_hash_value: osHashValue },
  };
}

/** A disk of very many parts would be more than a property holds. */
function describeReport({ report }: Readonly<SnapshotDiskRow>): Pick<ImageManifest, 'capture'> {
  const { data } = captureReportSchema.safeParse(report);
  if (!data) return {};
  const { method, fallback_reason: fallbackReason, parts, unreadable } = data;
  return { capture: { method, fallback_reason: fallbackReason, parts: parts.slice(0, MOST_PARTS), parts_omitted: Math.max(0, parts.length - MOST_PARTS), unreadable: unreadable.slice(0, MOST_PARTS) } };
}

const driversOf = (parts: readonly { driver: string | null }[] = []): string[] => [...new Set(parts.flatMap(({ driver }) => driver ?? []))].toSorted();

async function setProperties(task: SnapshotTask, imageRef: string, manifest: ImageManifest): Promise<void> {
  const properties = { [MANIFEST_PROPERTY]: JSON.stringify(manifest), ...(manifest.boot_mode === null ? {} : { [FIRMWARE_PROPERTY]: manifest.boot_mode }) };
  let pauseMs = task.limits.uploadRetryPauseMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await task.images.setProperties(imageRef, properties, task.signal);
    } catch (error) {
      const passing = error instanceof TemporarilyUnavailableError || (error instanceof MetalshotError && error.data['retryable'] === true);
      if (!passing || attempt >= ATTEMPTS || task.signal.aborted) throw error;
      await sleep(pauseMs, undefined, { signal: task.signal });
      pauseMs *= 2;
    }
  }
}
