/** What `image_ref` of a snapshot may name: a precreated image of the image service, or a place of its own for the data. */
import { InvalidParameterError } from './errors.ts';
import { UUID_PATTERN } from './provision.ts';

/** Schemes of places outside the image service. */
export const DESTINATION_SCHEMES = ['file', 'https', 's3'] as const;
export type DestinationScheme = (typeof DESTINATION_SCHEMES)[number];

/** `ref`: as it is stored and shown; of a place it is its URL, letter by letter as it was given. */
export type ImageRef = { kind: 'image'; ref: string } | { kind: DestinationScheme; ref: string; url: URL };

/** What the data of a snapshot are; a restore tells the format by it. */
const NAME_ENDING = '.qcow2';
const LONGEST_NAME_BYTES = 200;
/** No spaces, no "%", no backslash: nothing that one reader of a URL takes for something else than another. */
const PLAIN_PATH = /^(\/[A-Za-z0-9._~@=+,-]+)+$/;

export const isDestination = (ref: string): boolean => DESTINATION_SCHEMES.some((scheme) => ref.startsWith(`${scheme}:`));

/**
 * Takes `image_ref` apart. Only what the text itself says is looked at, not what the configuration allows.
 * @throws InvalidParameterError for anything but a UUID or a plain file, https or s3 URL whose last part ends in .qcow2.
 */
export function parseImageRef(value: unknown): ImageRef {
  if (typeof value === 'string' && UUID_PATTERN.test(value)) return { kind: 'image', ref: value.toLowerCase() };
  const scheme = typeof value === 'string' ? DESTINATION_SCHEMES.find((one) => value.toLowerCase().startsWith(`${one}:`)) : undefined;
  if (typeof value !== 'string' || scheme === undefined) {
    throw new InvalidParameterError(`image_ref: expected the UUID of a precreated image, or a URL file:///DIRECTORY/NAME.qcow2, https://HOST/NAME.qcow2 or s3://BUCKET/KEY.qcow2; found ${shown(value)}.`);
  }
  const refuse = (problem: string): InvalidParameterError => new InvalidParameterError(`image_ref: ${shown(value)} can not receive a snapshot: ${problem}`);
  if (!URL.canParse(value)) throw refuse('it is not a URL.');
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') throw refuse('it carries a user name or password, where everybody who sees the node can read it. Credentials belong into the configuration of the conductor (snapshot.https_destinations, snapshot.s3).');
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(value)) throw refuse('it has a query or a fragment ("?", "#"): a destination is a plain path.');
  const path = value.replace(/^[a-z0-9]+:(\/\/[^/]*)?/i, '');
  if (!PLAIN_PATH.test(path)) throw refuse('expected a path of letters, digits and "._~@=+,-" in parts that are not empty, without encoded characters ("%").');
  if (path.split('/').some((part) => part === '.' || part === '..')) throw refuse('its path has "." or ".." in it.');
  if (url.href !== value) throw refuse(`write it as ${url.href}.`);
  if (scheme === 'file' && url.host !== '') throw refuse('a file URL names no host: file:///DIRECTORY/NAME.qcow2.');
  if (scheme !== 'file' && url.host === '') throw refuse(`expected ${scheme === 's3' ? 's3://BUCKET/KEY.qcow2' : 'https://HOST/NAME.qcow2'}.`);
  if (scheme === 's3' && url.port !== '') throw refuse('a bucket has no port: the endpoint stands in the configuration (snapshot.s3.endpoint).');
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (!name.endsWith(NAME_ENDING) || name === NAME_ENDING) throw refuse(`its name has to end in ${NAME_ENDING}: that is what a snapshot is.`);
  if (name.length > LONGEST_NAME_BYTES) throw refuse(`its name has ${name.length} characters, the limit is ${LONGEST_NAME_BYTES}.`);
  return { kind: scheme, ref: value, url };
}

/** Without a user's name and password, should there be any. */
const shown = (value: unknown): string => String(JSON.stringify(typeof value === 'string' ? value.replace(/\/\/[^/@]*@/, '//******@') : value)).slice(0, 300);
