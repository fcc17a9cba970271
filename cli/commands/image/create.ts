import { open, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../../protocol/errors.ts';
import type { Image } from '../../../protocol/image.ts';
import type { Command, CommandContext } from '../../command.ts';
import { CommandFailure, EXIT, InterruptedError, UsageError } from '../../exit-code.ts';
import { StallWatch, TransferMeter, confirmTransfer } from './transfer.ts';

const DISK_FORMATS = ['qcow2', 'raw', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ploop', 'ami', 'ari', 'aki'];
const CONTAINER_FORMATS = ['bare', 'ovf', 'ova', 'docker', 'ami', 'ari', 'aki', 'compressed'];
/** Cleaning up after an interrupted upload must not hang. */
const CLEAN_UP_TIMEOUT_MS = 10_000;

async function openFile(path: string): Promise<{ file: FileHandle; sizeBytes: number }> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw new UsageError(`--file: cannot be read: ${messageOf(error)}`);
  }
  const stat = await file.stat();
  if (stat.isFile()) return { file, sizeBytes: stat.size };
  await file.close();
  throw new UsageError(`--file: ${path} is not a regular file`);
}

/** Uploads and compares with the image service's own digest. @throws what went wrong, as a CommandFailure. */
async function upload({ images, signal }: CommandContext, image: Image, file: FileHandle, sizeBytes: number): Promise<Image> {
  const watch = new StallWatch();
  const meter = new TransferMeter(watch, sizeBytes);
  const feeding = pipeline(file.createReadStream({ autoClose: false }), meter).catch((error: unknown) => error); // told by meter.errored
  try {
    await images.upload(image.id, meter, sizeBytes, AbortSignal.any([signal, watch.signal]));
  } catch (error) {
    if (signal.aborted) throw new InterruptedError();
    if (watch.signal.aborted) throw watch.failure('upload', error);
    if (meter.errored) throw new CommandFailure(EXIT.operationFailed, `the file could not be read to its end: ${messageOf(meter.errored)}`, error);
    throw error;
  } finally {
    watch.stop();
    meter.destroy();
    await feeding;
  }
  const uploaded = await images.get(image.id);
  if (uploaded.status !== 'active') throw new CommandFailure(EXIT.operationFailed, `image ${image.id} is "${uploaded.status}" after its upload`);
  confirmTransfer(uploaded, meter.sizeBytes, meter.digest());
  return uploaded;
}

/** Removes the image that was only created for a failed upload, and adds to the failure how that went. */
async function withdraw({ images }: CommandContext, image: Image, failure: unknown): Promise<never> {
  const removed = await images.delete(image.id, AbortSignal.timeout(CLEAN_UP_TIMEOUT_MS)).then(
    () => `image ${image.id} was removed again`,
    (error: unknown) => `image ${image.id} could not be removed (${messageOf(error)}): delete it`,
  );
  if (failure instanceof InterruptedError) throw new InterruptedError(`interrupted; ${removed}`);
  if (failure instanceof CommandFailure) throw new CommandFailure(failure.exitCode, `${failure.message}; ${removed}`, failure);
  throw failure;
}

export const createImage: Command = {
  words: 'image create',
  summary: 'Create an image: an empty holder for a snapshot, or with the data of a file',
  positionals: [{ name: 'name', describe: 'Name of the image' }],
  options: {
    'disk-format': { kind: 'text', describe: 'Format of the data (default qcow2)', choices: DISK_FORMATS },
    'container-format': { kind: 'text', describe: 'Format of the container (default bare)', choices: CONTAINER_FORMATS },
    file: { kind: 'text', describe: 'Upload this file; its digest is compared afterwards' },
    id: { kind: 'text', describe: 'UUID of the image (default: the service makes one)' },
    property: { kind: 'repeated', describe: 'KEY=VALUE, a text property' },
    tag: { kind: 'repeated', describe: 'A tag' },
  },
  examples: [
    ['image create web-1-today -f value -c id', 'A holder for a snapshot; prints its id'],
    ['image create golden --disk-format qcow2 --container-format bare --file golden.qcow2', 'With data'],
  ],
  async run(context, args) {
    const path = args.text('file');
    const opened = path === undefined ? undefined : await openFile(path);
    try {
      const id = args.text('id');
      const tags = args.texts('tag');
      const image = await context.images.create({
        name: args.required('name'),
        disk_format: args.text('disk-format') ?? 'qcow2',
        container_format: args.text('container-format') ?? 'bare',
        ...(id === undefined ? {} : { id }),
        ...(tags.length === 0 ? {} : { tags }),
        ...textProperties(args.texts('property')),
      });
      if (!opened) return context.output.record(image);
      const uploaded = await upload(context, image, opened.file, opened.sizeBytes).catch((error: unknown) => withdraw(context, image, error));
      context.output.record(uploaded);
    } finally {
      await opened?.file.close();
    }
  },
};

function textProperties(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const separator = pair.indexOf('=');
      if (separator < 1) throw new UsageError(`--property expects KEY=VALUE, got "${pair}"`);
      return [pair.slice(0, separator), pair.slice(separator + 1)];
    }),
  );
}
