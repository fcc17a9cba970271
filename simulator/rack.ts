import { once } from 'node:events';
import { mkdir, rmdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createLogger, type Logger } from '../protocol/log.ts';
import { parseRackConfig, type RackConfig, type RackConfigInput } from './config.ts';
import { IpmiBmc } from './ipmi-bmc.ts';
import { SimulatedMachine } from './machine.ts';
import { createRedfishService } from './redfish/service.ts';
import { systemPath } from './redfish/system-resource.ts';

/** Simulated machines behind one Redfish service. Started and closed by its owner: the program, the demo or a test. */
export class SimulatedRack {
  readonly url: string;
  readonly machines: ReadonlyMap<string, SimulatedMachine>;
  /** By machine, of those that have one. */
  readonly ipmiBmcs = new Map<string, IpmiBmc>();
  readonly #config: RackConfig;
  readonly #server: Server;
  readonly #madeDirectory: boolean;
  #closed: Promise<void> | undefined;

  private constructor(config: RackConfig, machines: ReadonlyMap<string, SimulatedMachine>, server: Server, madeDirectory: boolean) {
    const { address, family, port } = server.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    this.machines = machines;
    this.#config = config;
    this.#server = server;
    this.#madeDirectory = madeDirectory;
  }

  /** @throws MetalshotError for a wrong configuration; a system error when the address is not free. Nothing is left then. */
  static async start(input: RackConfigInput, log?: Logger): Promise<SimulatedRack> {
    const config = parseRackConfig(input, 'the rack');
    const logger = log ?? createLogger('simulator', config.log_level);
    const madeDirectory = (await mkdir(config.run_directory, { recursive: true, mode: 0o700 })) !== undefined;
    const options = { runDirectory: config.run_directory, agentCommand: config.agent_command, log: logger };
    const machines = new Map(config.machines.map((machine) => [machine.id, new SimulatedMachine(machine, options)]));
    const server = createServer(createRedfishService(machines, config.redfish));
    server.listen(config.listen.port, config.listen.host);
    try {
      await once(server, 'listening');
    } catch (error) {
      if (madeDirectory) await rmdir(config.run_directory);
      throw error;
    }
    const rack = new SimulatedRack(config, machines, server, madeDirectory);
    try {
      for (const machine of machines.values()) await machine.start();
      for (const machine of machines.values()) await rack.#startIpmi(machine, logger);
    } catch (error) {
      await rack.close();
      throw error;
    }
    return rack;
  }

  /** @throws Error when the rack has no such machine. */
  machine(id: string): SimulatedMachine {
    const machine = this.machines.get(id);
    if (!machine) throw new Error(`The rack has no machine ${id}; it has ${[...this.machines.keys()].join(', ')}`);
    return machine;
  }

  /** What the program prints when it is ready. */
  describe(): { url: string; machines: { id: string; uuid: string; system: string; macs: string[]; ipmi?: { address: string; port: number } }[] } {
    const ipmi = (id: string): { ipmi?: { address: string; port: number } } => {
      const bmc = this.ipmiBmcs.get(id);
      return bmc ? { ipmi: { address: bmc.address, port: bmc.port } } : {};
    };
    return { url: this.url, machines: [...this.machines.values()].map(({ id, uuid, config }) => ({ id, uuid, system: systemPath(id), macs: config.macs, ...ipmi(id) })) };
  }

  /** Cuts the power of every machine and removes what was made for them; once. @throws AggregateError naming what could not be ended. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end());
  }

  async #startIpmi({ id, config }: SimulatedMachine, log: Logger): Promise<void> {
    if (!config.ipmi) return;
    const { host, port, username, password, kg_key: kgKey } = config.ipmi;
    const machine = { url: this.url, systemPath: systemPath(id), ...this.#config.redfish };
    this.ipmiBmcs.set(id, await IpmiBmc.start({ directory: join(this.#config.run_directory, `${id}.ipmi`), machine, host, port, username, password, kgKey, log: log.child({ machine: id }) }));
  }

  async #end(): Promise<void> {
    const ipmiEnds = await Promise.allSettled([...this.ipmiBmcs.values()].map((bmc) => bmc.close()));
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    const keep = this.#config.keep_run_directory;
    const ends = await Promise.allSettled([...this.machines.values()].map((machine) => machine.close(keep)));
    const errors = [...ipmiEnds, ...ends].flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    if (errors.length > 0) throw new AggregateError(errors, `Not everything of the rack could be ended: ${errors.map(String).join('; ')}`);
    if (this.#madeDirectory && !keep) await rmdir(this.#config.run_directory);
  }
}
