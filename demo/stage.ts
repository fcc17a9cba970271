import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SYSTEM_PATH } from '../protocol/program.ts';
import type { RackConfigInput } from '../simulator/config.ts';
import type { DemoOptions } from './options.ts';
import type { DemoServer } from './server.ts';
import { Service } from './service.ts';

const GIB = 1024 ** 3;
const programPath = (name: string): string => fileURLToPath(new URL(`../${name}/main.js`, import.meta.url));

export interface StageOptions {
  server: DemoServer;
  workDirectory: string;
  diskPath: string;
  options: DemoOptions;
  onUnexpectedEnd: (error: Error) => void;
  /** Is told how to undo each thing that was started, in the order of starting. */
  onStarted: (name: string, stop: () => Promise<void>) => void;
  signal: AbortSignal;
}

/** Where everything is, once it runs. */
export interface Stage {
  api: string;
  imageService: string;
  redfish: { url: string; system: string; username: string; password: string };
}

const conductorReady = z.object({ msg: z.literal('conductor is ready'), api: z.string(), provisioning: z.string(), imageService: z.string() });
const simulatorReady = z.object({ url: z.string(), machines: z.array(z.object({ system: z.string() })).length(1) });

/** Starts conductor (with the embedded image service, unless another is named) and machine, as processes. */
export async function setStage(parts: StageOptions): Promise<Stage> {
  const disconnect = await parts.server.connect();
  if (disconnect) parts.onStarted('provisioning network', disconnect);
  const conductor = await startConductor(parts);
  parts.onStarted('conductor', () => conductor.stop());
  const account = { username: 'operator', password: randomBytes(12).toString('hex') };
  const simulator = await startSimulator(parts, account, conductor.ready.provisioning);
  parts.onStarted('simulated machine', () => simulator.stop());
  const { url, machines } = simulator.ready;
  return { api: conductor.ready.api, imageService: conductor.ready.imageService, redfish: { url, system: machines.map((machine) => machine.system).join(), ...account } };
}

async function startConductor({ workDirectory, options, server, onUnexpectedEnd, signal }: StageOptions): Promise<Service<z.infer<typeof conductorReady>>> {
  const tokenFile = join(workDirectory, 'image-token');
  const token = options.glanceToken;
  if (token) await writeFile(tokenFile, token, { mode: 0o600 });
  const config = {
    host: 'demo',
    state_directory: join(workDirectory, 'conductor'),
    api: { port: 0 },
    image_service: { ...(options.glance === undefined ? {} : { url: options.glance }), ...(token ? { token_file: tokenFile } : {}), embedded: { port: 0 } },
    enabled_hardware_types: ['redfish'],
    ...server.conductorConfig,
    provisioning: { port: 0, ...server.conductorConfig['provisioning'] },
    snapshot: { capture_timeout_s: 1_800, spool_reserve_bytes: GIB / 4, ...server.conductorConfig['snapshot'] },
    deploy: { write_timeout_s: 1_800, image_reserve_bytes: GIB / 4 },
  };
  const file = join(workDirectory, 'conductor.yaml');
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 }); // JSON is YAML
  const conductor = await Service.start({
    name: 'conductor',
    args: [programPath('conductor'), '--config', file],
    logFile: join(workDirectory, 'conductor.log'),
    env: { PATH: SYSTEM_PATH }, // METALSHOT_* of the caller is for another conductor
    readReady: (line) => readJson(line, conductorReady),
    onUnexpectedEnd,
    signal,
  });
  await rm(tokenFile, { force: true }); // it has been read, and --keep keeps no secrets of the caller
  return conductor;
}

async function startSimulator({ workDirectory, diskPath, options, server, onUnexpectedEnd, signal }: StageOptions, account: { username: string; password: string }, provisioning: string): Promise<Service<z.infer<typeof simulatorReady>>> {
  const certificateFile = join(workDirectory, 'conductor/certificates/provisioning.crt');
  await readFile(certificateFile); // the conductor has made it; without it no machine can trust the conductor
  const config: RackConfigInput = {
    redfish: account,
    run_directory: join(workDirectory, 'machines'),
    keep_run_directory: options.keep,
    machines: [server.machine(diskPath, { provisioning, certificateFile })],
  };
  const file = join(workDirectory, 'simulator.json');
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return Service.start({
    name: 'simulated machine',
    args: [programPath('simulator'), '--config', file],
    logFile: join(workDirectory, 'simulator.log'),
    env: { PATH: SYSTEM_PATH },
    readReady: (line) => readJson(line, simulatorReady),
    onUnexpectedEnd,
    signal,
  });
}

/** The line as this kind of document; undefined when it is something else. */
function readJson<T>(line: string, schema: z.ZodType<T>): T | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return schema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined; // a line of talk that begins with a brace
  }
}
