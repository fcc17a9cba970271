import type { Command } from '../../command.ts';
import { deleteEach } from '../each.ts';
import { IMAGE_POSITIONAL } from './show.ts';

export const deleteImages: Command = {
  words: 'image delete',
  summary: 'Delete images',
  positionals: [{ ...IMAGE_POSITIONAL, many: true }],
  examples: [['image delete web-1-yesterday', 'By name']],
  async run({ images, output }, args) {
    await deleteEach(output, 'image', args.texts('image'), async (ident) => images.delete((await images.find(ident)).id));
  },
};
