import { segment, withQuery } from '../../api-client.ts';
import type { Command } from '../../command.ts';
import { presentDriver } from './list.ts';

export const showDriver: Command = {
  words: 'driver show',
  summary: 'Show a hardware type and its interfaces',
  positionals: [{ name: 'driver', describe: 'Name of the hardware type', names: 'drivers' }],
  options: { fields: { kind: 'words', describe: 'Only these fields: words or commas' } },
  examples: [['driver show redfish', 'Its default and enabled interfaces']],
  async run({ api, output }, args) {
    const fields = args.fields('fields');
    output.record(presentDriver(await api.getObject(withQuery(`/v1/drivers/${segment(args.required('driver'))}`, { fields: fields.length > 0 ? fields.join(',') : undefined }))));
  },
};
