import { segment, withQuery } from '../../api-client.ts';
import type { Command } from '../../command.ts';

export const showConductor: Command = {
  words: 'conductor show',
  summary: 'Show a conductor',
  positionals: [{ name: 'conductor', describe: 'Host name of the conductor' }],
  options: { fields: { kind: 'words', describe: 'Only these fields: words or commas' } },
  examples: [['conductor show host-1', 'Whether it is alive, and its drivers']],
  async run({ api, output }, args) {
    const fields = args.fields('fields');
    output.record(await api.getObject(withQuery(`/v1/conductors/${segment(args.required('conductor'))}`, { fields: fields.length > 0 ? fields.join(',') : undefined })));
  },
};
