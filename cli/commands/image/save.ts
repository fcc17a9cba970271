import { open, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../../protocol/errors.ts';
import type { Image } from '../../../protocol/image.ts';
import type { Command, CommandContext } from '../../command.ts';
import { CommandFailure, EXIT, InterruptedError, UsageError } from '../../exit-code.ts';
import { StallWatch, TransferMeter, confirmTransfer } from './transfer.ts';
import { IMAGE_POSITIONAL } from './show.ts';

/** Reads the whole image into `sink` and compares size and digest. @throws CommandFailure on any difference or stop. */
async function download({ images, signal }: CommandContext, image: Image, sink: NodeJS.WritableStream, endSink: boolean): Promise<number> {
  const watch = new StallWatch();
  const meter = new TransferMeter(watch);
  const either = AbortSignal.any([signal, watch.signal]);
  try {
    const source = await images.download(image.id, either);
    await pipeline(source, meter, sink, { signal: either, end: endSink });
  } catch (error) {
    if (signal.aborted) throw new InterruptedError('interrupted; what was received is no whole image');
    if (watch.signal.aborted) throw watch.failure('download', error);
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(EXIT.operationFailed, `the download of image ${image.id} broke off: ${messageOf(error)}`, error);
  } finally {
    watch.stop();
    meter.destroy();
  }
  confirmTransfer(image, meter.sizeBytes, meter.digest());
  return meter.sizeBytes;
}

/** Writes beside the file and renames at the end: under the final name stands a whole image or what was there before. */
async function saveToFile(context: CommandContext, image: Image, path: string): Promise<number> {
  const partPath = `${path}.part-${image.id}`;
  const part = await open(partPath, 'w').catch((error: unknown) => {
    throw new UsageError(`--file: cannot be written: ${messageOf(error)}`);
  });
  try {
    const sizeBytes = await download(context, image, part.createWriteStream({ flush: true }), true); // ends synced and closed
    await rename(partPath, path);
    return sizeBytes;
  } catch (error) {
    await part.close(); // may be closed already: that is no error
    await rm(partPath, { force: true });
    throw error;
  }
}

export const saveImage: Command = {
  words: 'image save',
  summary: 'Download an image and verify its digest',
  positionals: [IMAGE_POSITIONAL],
  options: { file: { kind: 'text', describe: 'Write to this file, which appears only when it is whole (default: standard output)' } },
  examples: [['image save web-1-today --file web-1.qcow2', 'Into a file']],
  async run(context, args) {
    const { images, output } = context;
    const image = await images.find(args.required('image'));
    if (image.status !== 'active') throw new CommandFailure(EXIT.refused, `image ${image.id} is "${image.status}": it holds no data to save`);
    const path = args.text('file');
    if (path === undefined && output.dataStream.isTTY) throw new UsageError('an image is not for a terminal: give --file, or redirect the output');
    const sizeBytes = path === undefined ? await download(context, image, output.dataStream, false) : await saveToFile(context, image, path);
    output.say(`saved image ${image.id}: ${sizeBytes} bytes, ${image.os_hash_algo} ${image.os_hash_value}`);
  },
};
