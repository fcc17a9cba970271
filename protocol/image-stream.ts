/**
 * How an agent sends an image to the share in one pass: `PUT` with chunks, the image's exact length and a key of its own in
 * headers, and the authentication code (stream-mac.ts) of its bytes under this key as a trailer, so that whoever receives it
 * can hold back its end until the whole is proven. The answer is 201.
 */

/** Length of the image (decoded), bytes. A PUT with this header is an image stream, without it one of WebDAV. */
export const IMAGE_SIZE_HEADER = 'X-Metalshot-Image-Size';
/** Hex, drawn for this one sending. */
export const IMAGE_KEY_HEADER = 'X-Metalshot-Image-Key';
/** Code (hex) of the image (decoded) under the key. */
export const IMAGE_MAC_TRAILER = 'X-Metalshot-Image-Mac';
/** What the bytes on the wire may be compressed with (Content-Encoding). */
export const IMAGE_ENCODINGS = ['identity', 'zstd'] as const;
export type ImageEncoding = (typeof IMAGE_ENCODINGS)[number];

/** A PUT with this header measures the link: what it brings, up to PROBE_LIMIT_BYTES, is thrown away, and 204 answered. */
export const LINK_PROBE_HEADER = 'X-Metalshot-Link-Probe';
export const PROBE_LIMIT_BYTES = 64 * 1024 * 1024;
