import { open, type FileHandle } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { bootstrapScript } from './boot-scripts.ts';
import { sendFile } from './file-reply.ts';
import type { ImageFile, RamdiskImages } from './ramdisk-images.ts';
import { scriptOfMachine, type ScriptParts } from './script-of-machine.ts';

export interface BootRequestParts extends ScriptParts {
  images: RamdiskImages;
  /** Where the boot loaders are. */
  directory: string;
  /** The small initramfs. */
  archive: Buffer;
  /** Answers everything below `/iso/`. */
  isos: RequestListener;
}

/** Everything but these paths is answered with 404, so no path reaches the file system that is not written here. */
export const BOOT_LOADERS = ['undionly.kpxe', 'snponly.efi', 'grub-local.efi'] as const;
export const BOOTSTRAP_PATH = '/boot.ipxe';
export const ISO_PATH = '/iso/';
const ARCHIVE_PATH = '/conductor.cpio';
const SCRIPT_PATH = /^\/mac-((?:[0-9a-f]{2}-){5}[0-9a-f]{2})\.ipxe$/i;
const IMAGE_PATH = /^\/ramdisk\/([0-9a-f]{32})\/(vmlinuz|initramfs)$/;
const BINARY = 'application/octet-stream';

/** Answers machines (and the firmware of their BMCs) that boot: scripts, kernel and initramfs, boot loaders, ISOs. */
export function createBootRequests(parts: BootRequestParts): RequestListener {
  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    recordRequest(request, response, path, parts.log);
    answer(path, request, response, parts).catch((error: unknown) => {
      if (response.headersSent || response.destroyed) {
        parts.log.info({ path: shownPath(path), peer: peerOf(request), reason: messageOf(error) }, 'a boot file was not sent to its end');
        response.destroy(); // the length that was promised does not come: never an orderly end
      } else {
        parts.log.error({ err: error, path: shownPath(path) }, 'a request for a boot file failed');
        sendText(request, response, 500, 'The conductor failed; its log says why.\n');
      }
    });
  };
}

async function answer(path: string, request: IncomingMessage, response: ServerResponse, parts: BootRequestParts): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(request, response, 405, 'Only GET and HEAD.\n', { Allow: 'GET, HEAD' });
  if (path.startsWith(ISO_PATH)) return parts.isos(request, response);
  if (path === BOOTSTRAP_PATH) return sendText(request, response, 200, bootstrapScript(parts.baseUrl));
  if (path === ARCHIVE_PATH) return send(request, response, 200, parts.archive, { 'Content-Type': BINARY });
  const [, dashed] = SCRIPT_PATH.exec(path) ?? [];
  if (dashed !== undefined) return sendScript(dashed.toLowerCase().replaceAll('-', ':'), request, response, parts);
  const [, key = '', image] = IMAGE_PATH.exec(path) ?? [];
  if (image !== undefined) return sendOpened(await parts.images.open(key, image as ImageFile), request, response);
  const loader = BOOT_LOADERS.find((name) => path === `/${name}`);
  if (loader !== undefined) return sendOpened(await openLoader(join(parts.directory, loader)), request, response);
  return sendText(request, response, 404, 'Not found.\n');
}

async function sendScript(address: string, request: IncomingMessage, response: ServerResponse, parts: BootRequestParts): Promise<void> {
  if (request.method === 'HEAD') {
    response.writeHead(200, { 'Content-Type': TEXT, 'Cache-Control': 'no-store' }).end(); // whose script it is, only GET asks
    return;
  }
  sendText(request, response, 200, await scriptOfMachine(address, peerOf(request), parts));
}

interface OpenedFile {
  handle: FileHandle;
  sizeBytes: number;
}

async function sendOpened(file: OpenedFile | null, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!file) return sendText(request, response, 404, 'Not found.\n');
  try {
    await sendFile(request, response, { ...file, contentType: BINARY });
  } finally {
    await file.handle.close();
  }
}

async function openLoader(path: string): Promise<OpenedFile | null> {
  let handle: FileHandle;
  try {
    handle = await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return { handle, sizeBytes: (await handle.stat()).size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const TEXT = 'text/plain; charset=utf-8';
const sendText = (request: IncomingMessage, response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void => send(request, response, status, Buffer.from(text), { 'Content-Type': TEXT, ...headers });

/** In one write: a script is there whole or not at all. */
function send(request: IncomingMessage, response: ServerResponse, status: number, body: Buffer, headers: Record<string, string>): void {
  response.writeHead(status, { 'Cache-Control': 'no-store', 'Content-Length': body.length, ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}

const peerOf = (request: IncomingMessage): string => request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? 'gone';
/** The name of an ISO is a secret of its machine. */
const shownPath = (path: string): string => (path.startsWith(ISO_PATH) ? `${ISO_PATH}…` : path.slice(0, 200));

function recordRequest(request: IncomingMessage, response: ServerResponse, path: string, log: Logger): void {
  const startedAt = performance.now();
  const { method } = request;
  const peer = peerOf(request);
  response.once('close', () => log.debug({ method, path: shownPath(path), peer, status: response.headersSent ? response.statusCode : 0, whole: response.writableFinished, ms: Math.round(performance.now() - startedAt) }, 'boot file request'));
}
