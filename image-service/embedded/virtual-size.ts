/** Bytes of an image's beginning that tell its virtual size. */
export const VIRTUAL_SIZE_HEADER_BYTES = 32;

/**
 * Bytes of the disk that the data describes: the data's own size for raw, what the header says for qcow2 (its layout:
 * QEMU docs/interop/qcow2.txt), null for other formats, no data, or data that is not what it is called.
 */
export function virtualSizeBytes(diskFormat: string | null, sizeBytes: number, header: Buffer): number | null {
  if (diskFormat === 'raw') return sizeBytes > 0 ? sizeBytes : null;
  if (diskFormat !== 'qcow2' || header.length < VIRTUAL_SIZE_HEADER_BYTES || header.readUInt32BE(0) !== 0x514649fb) return null;
  const size = header.readBigUInt64BE(24);
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null;
}
