import type { Command, PositionalSpec } from '../../command.ts';

export const IMAGE_POSITIONAL: PositionalSpec = { name: 'image', describe: 'Id or name of the image', names: 'images' };

export const showImage: Command = {
  words: 'image show',
  summary: 'Show an image',
  positionals: [IMAGE_POSITIONAL],
  examples: [['image show web-1-today -f value -c os_hash_value', 'Its sha512']],
  async run({ images, output }, args) {
    output.record(await images.find(args.required('image')));
  },
};
