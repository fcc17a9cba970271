/** A region that is one part of something that may have more parts: a volume group, an array, a multi-device file system. */
export interface Member {
  kind: 'LVM volume group' | 'md array' | 'btrfs file system';
  /** Identity of the whole; the parts of one whole agree in it. */
  wholeId: string;
  /** The whole's name for people, where it has one. */
  wholeName: string;
  /** Identity of this part, where parts have one. */
  partId: string;
  /** Parts that the whole needs, or null when this part cannot tell. */
  parts: number | null;
}
