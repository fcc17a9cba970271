import type { GlanceClient } from '../../image-service/client.ts';
import { digestOf } from '../../image-service/image-digest.ts';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { Image } from '../../protocol/image.ts';
import { manifestOf } from '../../protocol/image-manifest.ts';
import type { ImageFacts } from '../drivers/deployment.ts';
import { declaredFormat } from './declared-format.ts';
import type { ImageOrigin } from './image-origin.ts';

/** What is needed of the image service. */
export type ImageCatalogue = Pick<GlanceClient, 'show' | 'download'>;

const GIB = 1024 ** 3;

/** An image of the image service; of one that is not for `forProject` (null: for anybody) nothing is told. */
export function glanceOrigin(images: ImageCatalogue, imageId: string, forProject: string | null): ImageOrigin {
  return {
    describe: async (signal) => {
      const image = await images.show(imageId, signal);
      return factsOf(imageId, image !== null && isFor(forProject, image) ? image : null, forProject);
    },
    fetch: (_facts, destination, options) => images.download(imageId, destination, options),
  };
}

/** We see more than a project does. Members of a shared image are not asked for: such an image is its owner's only. */
const isFor = (project: string | null, { owner, visibility }: Image): boolean => project === null || owner === project || ['public', 'community'].includes(visibility);

function factsOf(imageId: string, image: Image | null, forProject: string | null): ImageFacts {
  const refuse = (problem: string): InvalidParameterError => new InvalidParameterError(`Image ${imageId} cannot be deployed: ${problem}`, { image: imageId });
  if (image === null) throw refuse(forProject === null ? 'the image service does not know it, or does not show it to us.' : 'the image service does not know it, or it is not for your project: that has its own images, and those that are public or community.');
  if (image.status !== 'active') throw refuse(`expected an active image, its status is ${image.status}.`);
  if (image.container_format !== 'bare') throw refuse(`expected container_format bare, found ${image.container_format}.`);
  const digest = digestOf(image);
  if (digest === null || image.size === null || image.size <= 0) throw refuse('the image service has no size and digest of its data; upload the image again.');
  const diskFormat = declaredFormat(image.disk_format);
  const manifest = manifestOf(image);
  return {
    source: imageId,
    name: image.name,
    diskFormat,
    sizeBytes: image.size,
    virtualSizeBytes: diskFormat === 'raw' ? image.size : positive(image.virtual_size),
    minDiskBytes: (positive(image.min_disk) ?? 0) * GIB,
    hashAlgo: digest.algo,
    hashValue: digest.value,
    manifest,
    bootMode: bootModeOf(image['hw_firmware_type']) ?? manifest?.boot_mode ?? null,
  };
}

const positive = (value: unknown): number | null => (typeof value === 'number' && value > 0 ? value : null);
const bootModeOf = (firmware: unknown): 'bios' | 'uefi' | null => (firmware === 'bios' || firmware === 'uefi' ? firmware : null);
