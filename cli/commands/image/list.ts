import type { Command } from '../../command.ts';

const FIELDS = ['id', 'name', 'status'];
const LONG_FIELDS = ['id', 'name', 'disk_format', 'container_format', 'size', 'os_hash_algo', 'os_hash_value', 'status', 'visibility', 'protected', 'owner', 'tags'];

export const listImages: Command = {
  words: 'image list',
  summary: 'List images',
  options: {
    long: { kind: 'flag', describe: 'All details of each' },
    name: { kind: 'text', describe: 'Only those with this name' },
    status: { kind: 'text', describe: 'Only those with this status, such as queued or active' },
  },
  examples: [['image list --status queued', 'Holders that wait for a snapshot']],
  async run({ images, output }, args) {
    const found = await images.list({ name: args.text('name'), status: args.text('status') });
    output.rows(found, args.flag('long') ? LONG_FIELDS : FIELDS);
  },
};
