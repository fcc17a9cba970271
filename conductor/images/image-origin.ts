/** Where images come from: each kind of origin says what is known of an image, and streams its data. */
import type { Writable } from 'node:stream';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { UUID_PATTERN } from '../../protocol/provision.ts';
import type { Downloaded } from '../../image-service/download.ts';
import type { ImageFacts } from '../drivers/deployment.ts';

export interface FetchOptions {
  signal: AbortSignal;
  onProgress(bytesReceived: number): void;
}

export interface ImageOrigin {
  /** @throws InvalidParameterError (permanent), TemporarilyUnavailableError. */
  describe(signal: AbortSignal): Promise<ImageFacts>;
  /** Streams the data into `destination`, which is ended or destroyed, and digests them with the algorithm of `facts`; comparing is the caller's. */
  fetch(facts: ImageFacts, destination: Writable, options: FetchOptions): Promise<Downloaded>;
}

/** What the text of an image source names. */
export type NamedSource = { kind: 'image'; imageId: string } | { kind: 'url'; url: URL } | { kind: 'file'; url: URL };

const GLANCE_SCHEME = /^glance:\/\//i;

/** @throws InvalidParameterError for anything but a UUID, glance://UUID, an http(s) URL without credentials, or a file URL. */
export function parseSource(source: string): NamedSource {
  const imageId = source.replace(GLANCE_SCHEME, '');
  if (UUID_PATTERN.test(imageId)) return { kind: 'image', imageId: imageId.toLowerCase() };
  const url = GLANCE_SCHEME.test(source) || !URL.canParse(source) ? undefined : new URL(source);
  if (url?.protocol === 'file:') return { kind: 'file', url };
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new InvalidParameterError(`Expected an image source that is the UUID of an image, glance://UUID, or an http, https or file URL; found ${JSON.stringify(shownSource(source))}.`, { source: shownSource(source) });
  }
  if (url.username !== '' || url.password !== '') throw new InvalidParameterError(`The image source at ${url.host} carries a user name or password in its URL, where everybody who sees the node can read it: use a URL without (a signed one, for example).`);
  return { kind: 'url', url };
}

/** The source without what may be secret in it: the query of a signed URL, a user's password. */
export const shownSource = (source: string): string => source.replace(/[?#].*$/s, '').replace(/\/\/[^/@]*@/, '//').slice(0, 300);
