#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { messageOf } from '../protocol/errors.ts';
import { createLogger } from '../protocol/log.ts';
import { runAgent } from './agent.ts';
import { readConfigFile, readKernelConfig, type AgentConfig } from './config.ts';
import { LogMemory } from './logs/log-memory.ts';
import { AGENT_LOG_LIMIT_BYTES, describeMachine } from './machine.ts';
import { leaveUselessRamdisk } from './reboot.ts';

const HELP = `metalshot ramdisk agent: captures and writes the disks of a machine that was booted for it

usage: main.js [--config FILE]

  --config FILE  JSON with these keys (* required):
                 api_url*          URL of the conductor's provisioning listener
                 addresses*        MAC addresses of this machine
                 run_directory*    where token, key, certificate and journal are kept (0700)
                 devices           the only disks that may be touched: paths, or objects with path,
                                   serial, wwn, model; without them, inside the Metalshot ramdisk, all
                                   fixed disks of the machine
                 hardware          with devices: boot_mode (bios, uefi), disk_driver, interface_driver,
                                   memory_bytes, cpu {architecture, count, model_name},
                                   system_vendor {manufacturer, product_name, serial_number}
                 listen_host       default 0.0.0.0
                 listen_port       default 9999; 0: any free port
                 advertise_host    name or address for the conductor; default: the way to the conductor
                 advertise_port    default: the port it listens on
                 ca_file           PEM of the conductor's certificate or of its authority
                 insecure          true: trust any certificate of the conductor
                 lookup_timeout_s  default 600
                 log_level         trace, debug, info (default), warn, error, fatal, silent
                 node_uuid         asks for this node only
                 agent_token       a token known beforehand (at least 32 characters)
                 boot_nonce        brought to the lookup, which proves that this boot was prepared
                 ramdisk           when the machine is booted from its own disk without being told:
                                   conductor_silence_timeout_s (900): no lookup or heartbeat taken for so
                                   long; idle_timeout_s (1800): no command under way for so long;
                                   watchdog_timeout_s (120; 0: none): the agent itself hangs. Also when a
                                   command does not end 60 s after its limits. With devices: default never
                 reboot_command    with devices and ramdisk: program and arguments run for such a boot,
                                   before the agent ends with 3
                 cache_size_bytes  memory for an image on its way; default: 90 % of what is available
  --help         this text

Without --config, inside the Metalshot ramdisk only, the kernel's command line is read: ipa-api-url,
ipa-listen-port, ipa-lookup-timeout, ipa-insecure, ipa-advertise-host, ipa-agent-token, BOOTIF,
metalshot-boot-nonce; and where they are, /etc/metalshot/ramdisk.json (the key ramdisk) and
/etc/metalshot/conductor-ca.pem (ca_file).

Ends with 0 after SIGTERM or SIGINT (a running command is stopped and cleaned up), with 1 on a fatal error,
with 3 where a machine with devices is to be booted from its own disk.
`;

const STANDARD_ERROR = 2;
/** Whatever hangs: a simulated machine that is to be booted ends its agent at once. */
const REBOOT_EXIT_CODE = 3;

/** The only reader of arguments; runs the agent until it is told to stop. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const config = values.config === undefined ? await readBootedConfig() : readConfigFile(values.config);
  const logMemory = new LogMemory(AGENT_LOG_LIMIT_BYTES);
  const log = createLogger('ramdisk-agent', config.log_level, STANDARD_ERROR, (line) => logMemory.add(line));
  const machine = describeMachine(config, log, logMemory, () => process.exit(REBOOT_EXIT_CODE));
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info({ signal }, 'agent is stopping');
      stop.abort();
    });
  }
  try {
    await runAgent(config, machine, log, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error; // stopped while it still looked for its node
  }
  log.info('agent has stopped');
}

/** A ramdisk whose agent cannot even read its configuration, start after start, has to be left as well. */
async function readBootedConfig(): Promise<AgentConfig> {
  try {
    return readKernelConfig();
  } catch (error) {
    await leaveUselessRamdisk(createLogger('ramdisk-agent'), messageOf(error));
    throw error;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`ramdisk-agent: ${messageOf(error)}\n`);
  process.exitCode = 1;
});
