import { hideBin } from 'yargs/helpers';
import yargs from 'yargs';
import { MetalshotError, messageOf } from '../protocol/errors.ts';
import { createLogger } from '../protocol/log.ts';
import { loadRackConfig } from './config.ts';
import { SimulatedRack } from './rack.ts';

/** Exit codes: 0 ended on request, 1 failed, 2 the configuration is not valid. */
async function main(): Promise<number> {
  const { config: file } = await yargs(hideBin(process.argv))
    .scriptName('simulator')
    .usage('$0 --config FILE\n\nSimulated machines behind a Redfish service. Prints one line of JSON with its URL when it is ready;\nSIGTERM cuts the power of every machine, removes what was made for them and ends the program.')
    .option('config', { type: 'string', demandOption: true, describe: 'JSON file; its keys stand in simulator/config.ts' })
    .strict()
    .parseAsync();
  const config = await loadRackConfig(file);
  const log = createLogger('simulator', config.log_level);
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const rack = await SimulatedRack.start(config, log);
  process.stdout.write(`${JSON.stringify(rack.describe())}\n`);
  await stopped;
  await rack.close();
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`simulator: ${messageOf(error)}\n`);
  process.exitCode = error instanceof MetalshotError && error.httpStatus === 400 ? 2 : 1;
}
