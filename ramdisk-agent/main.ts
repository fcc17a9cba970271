#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { messageOf } from '../protocol/errors.ts';
import { createLogger } from '../protocol/log.ts';
import { runAgent, type Machine } from './agent.ts';
import { readConfigFile, readKernelConfig, type AgentConfig } from './config.ts';
import { ExplicitDevices } from './devices/explicit-devices.ts';
import { ensureRamdisk, RamdiskDevices } from './devices/ramdisk-devices.ts';
import { ConfiguredHardware, hardwareConfigSchema } from './hardware/configured-hardware.ts';
import { RamdiskHardware } from './hardware/ramdisk-hardware.ts';

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
                 cache_size_bytes  memory for an image on its way; default: 90 % of what is available
  --help         this text

Without --config, inside the Metalshot ramdisk only, the kernel's command line is read: ipa-api-url,
ipa-listen-port, ipa-lookup-timeout, ipa-insecure, ipa-advertise-host, ipa-agent-token, BOOTIF.

Ends with 0 after SIGTERM or SIGINT (a running command is stopped and cleaned up), with 1 on a fatal error.
`;

/** The only reader of arguments; runs the agent until it is told to stop. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const config = values.config === undefined ? readKernelConfig() : readConfigFile(values.config);
  const machine = describeMachine(config);
  const log = createLogger('ramdisk-agent', config.log_level);
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

/** The configured machine, or the one that we run on: that only in the ramdisk. */
function describeMachine(config: AgentConfig): Machine {
  if (config.devices) {
    const hardware = config.hardware ?? hardwareConfigSchema.parse({});
    return { devices: new ExplicitDevices(config.devices, hardware.disk_driver), hardware: new ConfiguredHardware(hardware, config.addresses) };
  }
  ensureRamdisk();
  return { devices: new RamdiskDevices(), hardware: new RamdiskHardware() };
}

main().catch((error: unknown) => {
  process.stderr.write(`ramdisk-agent: ${messageOf(error)}\n`);
  process.exitCode = 1;
});
