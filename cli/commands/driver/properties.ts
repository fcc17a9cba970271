import { segment } from '../../api-client.ts';
import type { Command } from '../../command.ts';

export const listDriverProperties: Command = {
  words: 'driver property list',
  summary: 'List what driver_info of a hardware type can hold',
  positionals: [{ name: 'driver', describe: 'Name of the hardware type', names: 'drivers' }],
  examples: [['driver property list redfish', 'What --driver-info of `node create` can be']],
  async run({ api, output }, args) {
    const properties = await api.getObject(`/v1/drivers/${segment(args.required('driver'))}/properties`);
    const rows = Object.entries(properties).map(([property, description]) => ({ property, description }));
    output.rows(rows.sort((a, b) => (a.property < b.property ? -1 : 1)), ['property', 'description']);
  },
};
