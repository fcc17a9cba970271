import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { ImageData } from '../../protocol/image.ts';

/** A file as something to upload. */
export const fileData = (path: string): ImageData => ({ name: path, open: () => createReadStream(path) });

/** Pieces that can be had once, as something to upload. */
export const dataOf = (pieces: Iterable<Buffer> | AsyncIterable<Buffer>): ImageData => ({ name: 'the stream', open: () => Readable.from(pieces) });
