import { rename, rm, stat, truncate } from 'node:fs/promises';
import type { Extent } from '../../protocol/disk-stream.ts';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { ImageFormat } from './declared-format.ts';
import { requireContent } from './image-content.ts';
import { checkTables, convertToRaw, mapData, readInfo } from './qemu-img.ts';
import type { RoomClaim } from './storage-room.ts';

export interface ExpansionOptions {
  /** The fetched file; gone when this resolves. */
  fetched: string;
  format: ImageFormat;
  /** For messages. */
  shown: string;
  /** The raw disk; must not exist. */
  target: string;
  /** Largest disk. */
  maxBytes: number;
  /** Of the qemu-img runs that take long. */
  timeoutMs: number;
  signal: AbortSignal;
  room: RoomClaim;
  onProgress(bytesDone: number, virtualSizeBytes: number): void;
}

export interface ExpandedDisk {
  virtualSizeBytes: number;
  extents: Extent[];
}

const SECTOR_BYTES = 512;
/** Shorter gaps are sent as data: a frame and a seek cost more than the zeros. */
const GAP_BYTES = 1024 ** 2;

/**
 * Proves that a fetched file is what it is said to be and nothing else, and makes the raw disk of it, whose zeros are holes.
 * @throws InvalidParameterError when it is not; TemporarilyUnavailableError without room; OperationFailedError.
 */
export async function expandImage(options: ExpansionOptions): Promise<ExpandedDisk> {
  const { fetched, format, shown, target, maxBytes, signal, timeoutMs } = options;
  await requireContent(fetched, format, shown);
  try {
    if (format === 'raw') await truncate(fetched, upToSector((await stat(fetched)).size)); // as qemu sees it
    const info = await readInfo(fetched, format, signal);
    const probed = await readInfo(fetched, null, signal);
    if (probed.format !== format || info.format !== format) throw new InvalidParameterError(`it is said to be ${format}, and qemu-img finds ${probed.format}`, { declared: format, found: probed.format });
    if (info.problem !== null) throw new InvalidParameterError(info.problem);
    if (info.virtualSizeBytes <= 0 || info.virtualSizeBytes > maxBytes) throw new InvalidParameterError(`its disk has ${info.virtualSizeBytes} bytes, the limit is ${maxBytes} (deploy.max_image_bytes)`);
    if (format === 'raw') await rename(fetched, target);
    else await expandQcow2(options, info.virtualSizeBytes);
    const virtualSizeBytes = upToSector(info.virtualSizeBytes);
    const expandedBytes = (await stat(target)).size;
    if (upToSector(expandedBytes) !== virtualSizeBytes) throw new InvalidParameterError(`its disk was to have ${virtualSizeBytes} bytes, expanded it has ${expandedBytes}`);
    if (expandedBytes !== virtualSizeBytes) await truncate(target, virtualSizeBytes);
    return { virtualSizeBytes, extents: await extentsOf(target, virtualSizeBytes, { timeoutMs, signal }) };
  } catch (error) {
    if (error instanceof InvalidParameterError) throw new InvalidParameterError(`The image ${shown} is not written to machines: ${error.message}`, (error).data, error);
    throw error;
  }
}

async function expandQcow2({ fetched, target, timeoutMs, signal, room, onProgress }: ExpansionOptions, virtualSizeBytes: number): Promise<void> {
  await checkTables(fetched, { timeoutMs, signal });
  let boundBytes = 0;
  await mapData(fetched, 'qcow2', { timeoutMs, signal }, (_offset, lengthBytes) => (boundBytes += lengthBytes));
  await room.change(boundBytes);
  await convertToRaw(fetched, target, upToSector(virtualSizeBytes), {
    timeoutMs,
    signal,
    onProgress: (share) => {
      room.left(boundBytes * (1 - share));
      onProgress(Math.floor(share * virtualSizeBytes), virtualSizeBytes);
    },
  });
  await rm(fetched);
}

/** Where a sparse file's data are: in whole sectors, gaps shorter than 1 MiB left out. */
async function extentsOf(path: string, sizeBytes: number, options: { timeoutMs: number; signal: AbortSignal }): Promise<Extent[]> {
  const extents: Extent[] = [];
  await mapData(path, 'raw', options, (start, lengthBytes) => {
    const offsetBytes = start - (start % SECTOR_BYTES);
    const end = Math.min(upToSector(start + lengthBytes), sizeBytes);
    const last = extents.at(-1);
    if (last !== undefined && offsetBytes - (last.offsetBytes + last.lengthBytes) < GAP_BYTES) last.lengthBytes = end - last.offsetBytes;
    else extents.push({ offsetBytes, lengthBytes: end - offsetBytes });
  });
  return extents;
}

const upToSector = (bytes: number): number => Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
