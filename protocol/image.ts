import type { Readable } from 'node:stream';

/** The image service's own shapes (Glance API v2). Names are the wire's. */
export type ImageStatus = 'queued' | 'saving' | 'active' | 'killed' | 'deleted' | 'pending_delete' | 'deactivated' | 'uploading' | 'importing';

export interface Image {
  id: string;
  name: string | null;
  status: ImageStatus;
  owner: string | null;
  visibility: string;
  protected: boolean;
  disk_format: string | null;
  container_format: string | null;
  size: number | null;
  virtual_size: number | null;
  min_disk: number;
  min_ram: number;
  checksum: string | null;
  os_hash_algo: string | null;
  os_hash_value: string | null;
  created_at: string;
  updated_at: string;
  tags: string[];
  [property: string]: unknown;
}

export const IMAGE_PATCH_TYPE = 'application/openstack-images-v2.1-json-patch';
/** The digest of images: made here, confirmed by the image service. */
export const IMAGE_HASH_ALGO = 'sha512';

/** An image's data on their way to where they are kept. */
export interface ImageData {
  /** For messages: a file's path, for example. */
  name: string;
  /** Called when the data may go out; whoever calls it destroys what it gets on every path that ends early. Of what can be had only once, a second call gives what has ended already. */
  open(): Readable;
}
