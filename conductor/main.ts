#!/usr/bin/env -S node --max-semi-space-size=1 --heap-growing-percent=20 --no-memory-reducer --single-threaded-gc
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { InvalidParameterError, MetalshotError, messageOf } from '../protocol/errors.ts';
import { createLogger } from '../protocol/log.ts';
import { shownDhcpConfig } from './app-boot.ts';
import { startConductor } from './app.ts';
import { loadConfig } from './config.ts';
import { shownConfig } from './shown-config.ts';

/** Exit codes: 0 stopped on a signal, 2 wrong arguments or configuration, 1 anything else. */
async function main(): Promise<void> {
  const argv = await yargs(hideBin(process.argv))
    .scriptName('metalshot-conductor')
    .usage('$0 [--config FILE]\n\nRuns the conductor: admin API, provisioning listener with the WebDAV share, and the embedded image service unless one is configured.')
    .option('config', { type: 'string', describe: 'YAML file with the configuration; all keys are in docs/configuration.md', requiresArg: true })
    .option('check', { type: 'boolean', default: false, describe: 'read and validate the configuration, print it with all defaults (secrets as ******), and exit' })
    .option('print-dhcp-config', { type: 'boolean', default: false, describe: 'print what a dnsmasq that runs already needs so that machines boot from this conductor, and exit' })
    .epilogue(
      'Every key can also be set in the environment, over the file: METALSHOT_API__PORT=6390 sets api.port, METALSHOT_ENABLED_HARDWARE_TYPES="[redfish, fake-hardware]" a list (values are YAML).\n\n' +
        'Defaults: API on http://127.0.0.1:6385, provisioning on https://127.0.0.1:6386, image service on http://127.0.0.1:9292, state in ./var.\n\n' +
        'Signals: SIGTERM and SIGINT stop it; snapshots under way go on or are settled at the next start.\nExit codes: 0 stopped, 1 failed, 2 wrong arguments or configuration.',
    )
    .example('$0', 'all defaults')
    .example('$0 --config /etc/metalshot/conductor.yaml', 'with a configuration file')
    .strict()
    .fail((message, error) => {
      throw new InvalidParameterError(`${message ?? error.message}. Run metalshot-conductor --help for the options.`, {}, error);
    })
    .help()
    .parseAsync();
  const config = await loadConfig(argv.config, process.env);
  if (argv.check) {
    process.stdout.write(`${JSON.stringify(shownConfig(config), null, 2)}\n`);
    return;
  }
  if (argv.printDhcpConfig) {
    process.stdout.write(shownDhcpConfig(config));
    return;
  }
  const log = createLogger('conductor', config.log_level);
  const conductor = await startConductor(config, log);
  log.info({ ...conductor.urls }, 'conductor is ready');
  const stopping = await new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  log.info({ signal: stopping }, 'conductor stops');
  await conductor.close();
}

main().catch((error: unknown) => {
  const expected = error instanceof MetalshotError;
  process.stderr.write(`metalshot-conductor: ${expected ? error.message : error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
  process.exitCode = expected && error.httpStatus === 400 ? 2 : 1;
});
