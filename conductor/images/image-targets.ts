import type { ImageService } from '../drivers/interfaces.ts';
import { isDestination } from '../../protocol/image-ref.ts';

/** What receives snapshots: images of the image service by their UUID, and places outside it by their URL. Whoever uses it does not see which is which. */
export class ImageTargets implements ImageService {
  readonly #service: ImageService;
  readonly #places: ImageService;

  constructor(service: ImageService, places: ImageService) {
    this.#service = service;
    this.#places = places;
  }

  /** Places have no projects. */
  projectId = (): ReturnType<ImageService['projectId']> => this.#service.projectId();
  show: ImageService['show'] = (ref, ...rest) => this.#of(ref).show(ref, ...rest);
  setProperties: ImageService['setProperties'] = (ref, ...rest) => this.#of(ref).setProperties(ref, ...rest);
  setFormats: ImageService['setFormats'] = (ref, ...rest) => this.#of(ref).setFormats(ref, ...rest);
  settle: ImageService['settle'] = (ref, ...rest) => this.#of(ref).settle(ref, ...rest);
  upload: ImageService['upload'] = (ref, ...rest) => this.#of(ref).upload(ref, ...rest);
  verify: ImageService['verify'] = (ref, ...rest) => this.#of(ref).verify(ref, ...rest);
  deactivate: ImageService['deactivate'] = (ref, ...rest) => this.#of(ref).deactivate(ref, ...rest);

  #of(ref: string): ImageService {
    return isDestination(ref) ? this.#places : this.#service;
  }
}
