import type { PowerTarget } from '../../../protocol/provision.ts';
import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';

const SOFT: OptionSpec = { kind: 'flag', describe: 'Ask the operating system, instead of cutting the power' };

/** @param soft target when `--soft` is given; without it there is no such option. */
function powerCommand(words: string, summary: string, target: PowerTarget, soft?: PowerTarget): Command {
  return {
    words,
    summary,
    positionals: [NODE_POSITIONAL],
    options: {
      ...(soft === undefined ? {} : { soft: SOFT }),
      'power-timeout': { kind: 'text', describe: 'Seconds that the service waits for the new power state' },
    },
    examples: [[`${words} web-1`, 'Returns once the request is accepted; power_state of `node show` tells the rest']],
    async run({ api }, args) {
      const timeout = args.integer('power-timeout', 1);
      const body = { target: args.flag('soft') && soft ? soft : target, ...(timeout === undefined ? {} : { timeout }) };
      await api.request('PUT', `/v1/nodes/${segment(args.required('node'))}/states/power`, { body });
    },
  };
}

export const powerCommands: readonly Command[] = [
  powerCommand('node power on', 'Power a node on', 'power on'),
  powerCommand('node power off', 'Power a node off', 'power off', 'soft power off'),
  powerCommand('node reboot', 'Reboot a node', 'rebooting', 'soft rebooting'),
];
