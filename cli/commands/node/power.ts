import type { PowerState, PowerTarget } from '../../../protocol/provision.ts';
import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';
import { plainText } from '../../output.ts';
import { WAIT_OPTIONS, readWait, untilPower, waitFor } from '../../wait.ts';
import { failureOfPowerWait, goesOn, nodeFacts } from './wait-report.ts';

const SOFT: OptionSpec = { kind: 'flag', describe: 'Ask the operating system, instead of cutting the power' };

/** @param reaches power state at the end. @param soft target when `--soft` is given; without it there is no such option. */
function powerCommand(words: string, summary: string, target: PowerTarget, reaches: PowerState, soft?: PowerTarget): Command {
  return {
    words,
    summary,
    positionals: [NODE_POSITIONAL],
    options: {
      ...(soft === undefined ? {} : { soft: SOFT }),
      'power-timeout': { kind: 'text', describe: 'Seconds that the service waits for the new power state' },
      ...WAIT_OPTIONS,
    },
    examples: [[`${words} web-1 --wait 300`, `Return when it is done, or after 5 minutes`]],
    async run(context, args) {
      const { api, output } = context;
      const ident = args.required('node');
      const wait = readWait(args);
      const timeout = args.integer('power-timeout', 1);
      const body = { target: args.flag('soft') && soft ? soft : target, ...(timeout === undefined ? {} : { timeout }) };
      await api.request('PUT', `/v1/nodes/${segment(ident)}/states/power`, { body });
      if (wait === undefined) return;
      const word = words.replace(/^node /, '');
      const outcome = await goesOn(ident, word, () => waitFor(context, ident, untilPower(reaches), wait));
      if (output.isJson) output.json({ node: ident, target: body.target, power_state: outcome.node?.power_state ?? null, ...nodeFacts(outcome) });
      if (outcome.result !== 'reached') throw failureOfPowerWait(outcome, ident, reaches, word);
      output.say(`node ${ident}: ${plainText(outcome.node?.power_state)}`);
    },
  };
}

export const powerCommands: readonly Command[] = [
  powerCommand('node power on', 'Power a node on', 'power on', 'power on'),
  powerCommand('node power off', 'Power a node off', 'power off', 'power off', 'soft power off'),
  powerCommand('node reboot', 'Reboot a node', 'rebooting', 'power on', 'soft rebooting'),
];
