import { z } from 'zod';

export const diskSchema = z.strictObject({
  path: z.string().min(1),
  /** Default: `<machine id>-disk<N>`, N from 0 on; null: the disk has none. */
  serial: z.string().min(1).nullable().optional(),
  wwn: z.string().min(1).nullable().default(null),
  model: z.string().min(1).nullable().default(null),
  sector_size: z.union([z.literal(512), z.literal(4096)]).default(512),
});
export type DiskConfig = z.infer<typeof diskSchema>;

/** What QEMU keeps of a virtio disk's serial number (virtio 1.2, 5.2.6: 20 bytes). */
export const LONGEST_SERIAL = 20;
export const serialOf = (id: string, disk: DiskConfig, index: number): string | null => (disk.serial === undefined ? `${id}-disk${index}` : disk.serial);
