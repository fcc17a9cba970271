import type { JsonObject } from '../../../protocol/json.ts';
import { segment, withQuery } from '../../api-client.ts';
import type { Command, CommandContext } from '../../command.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';

async function getByAddress({ api }: CommandContext, address: string, fields: string | undefined): Promise<JsonObject> {
  const path = fields === undefined ? withQuery('/v1/ports/detail', { address }) : withQuery('/v1/ports/', { address, fields });
  const [port] = await api.list(path, 'ports', 1);
  if (!port) throw new CommandFailure(EXIT.notFound, `no port has the address ${address}`);
  return port;
}

export const showPort: Command = {
  words: 'port show',
  summary: 'Show a network port',
  positionals: [{ name: 'port', describe: 'UUID of the port, or its MAC address with --address' }],
  options: {
    address: { kind: 'flag', describe: 'PORT is a MAC address' },
    fields: { kind: 'words', describe: 'Only these fields: words or commas' },
  },
  examples: [['port show --address 52:54:00:12:34:56', 'By its MAC address']],
  async run(context, args) {
    const ident = args.required('port');
    const asked = args.fields('fields');
    const fields = asked.length > 0 ? asked.join(',') : undefined;
    const port = args.flag('address') ? await getByAddress(context, ident, fields) : await context.api.getObject(withQuery(`/v1/ports/${segment(ident)}`, { fields }));
    context.output.record(port);
  },
};
