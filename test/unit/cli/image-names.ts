import { ServiceOfTests, type Answer, type ReceivedRequest } from './service-of-tests.ts';

export const IMAGE = '0a1b2c3d-0000-4000-8000-000000000001';
export const TWIN = '0a1b2c3d-0000-4000-8000-000000000002';

/** Bare Metal API and image service in one, with an image `golden` and two of the name `twin`. */
export function startWithImages(answer: (request: ReceivedRequest) => Answer): Promise<ServiceOfTests> {
  const images = [{ id: IMAGE, name: 'golden', status: 'active' }, { id: IMAGE, name: 'twin' }, { id: TWIN, name: 'twin' }];
  return ServiceOfTests.start((request) => (request.path.startsWith('/v2/images?') ? { body: { images: images.filter(({ name }) => request.path.endsWith(`=${name}`)) } } : answer(request)));
}
