import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SYSTEM_PATH } from '../protocol/program.ts';
import type { RackConfigInput } from '../simulator/config.ts';
import type { DemoOptions } from './options.ts';
import { Service } from './service.ts';

const GIB = 1024 ** 3;
const programPath = (name: string): string => fileURLToPath(new URL(`../${name}/main.js`, import.meta.url));
export const MACHINE = { id: 'demo-server', mac: '52:54:00:de:30:01' } as const;

export interface StageOptions {
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

/** Starts conductor (with the embedded image service, unless another is named) and simulated machine, as processes. */
export async function setStage(parts: StageOptions): Promise<Stage> {
  const conductor = await startConductor(parts);
  parts.onStarted('conductor', () => conductor.stop());
  const account = { username: 'operator', password: randomBytes(12).toString('hex') };
  const simulator = await startSimulator(parts, account, conductor.ready.provisioning);
  parts.onStarted('simulated machine', () => simulator.stop());
  const { url, machines } = simulator.ready;
  return { api: conductor.ready.api, imageService: conductor.ready.imageService, redfish: { url, system: machines.map((machine) => machine.system).join(), ...account } };
}

/** A conductor that asks and looks often: the demo's server boots in a second. */
async function startConductor({ workDirectory, options, onUnexpectedEnd, signal }: StageOptions): Promise<Service<z.infer<typeof conductorReady>>> {
  const tokenFile = join(workDirectory, 'image-token');
  const token = options.glanceToken;
  if (token) await writeFile(tokenFile, token, { mode: 0o600 });
  const config = {
    host: 'demo',
    state_directory: join(workDirectory, 'conductor'),
    api: { port: 0 },
    provisioning: { port: 0 },
    image_service: { ...(options.glance === undefined ? {} : { url: options.glance }), ...(token ? { token_file: tokenFile } : {}), embedded: { port: 0 } },
    enabled_hardware_types: ['redfish'],
    conductor: { heartbeat_timeout_s: 5, check_interval_s: 1, callback_timeout_s: 120, soft_power_off_timeout_s: 30, power_timeout_s: 30 },
    snapshot: { poll_interval_s: 0.5, capture_timeout_s: 1_800, spool_reserve_bytes: GIB / 4 },
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

async function startSimulator({ workDirectory, diskPath, options, onUnexpectedEnd, signal }: StageOptions, account: { username: string; password: string }, provisioning: string): Promise<Service<z.infer<typeof simulatorReady>>> {
  const certificate = join(workDirectory, 'conductor/certificates/provisioning.crt');
  await readFile(certificate); // the conductor has made it; without it no machine can trust the conductor
  const config: RackConfigInput = {
    redfish: account,
    run_directory: join(workDirectory, 'machines'),
    keep_run_directory: options.keep,
    machines: [
      {
        id: MACHINE.id,
        macs: [MACHINE.mac],
        disks: [diskPath],
        memory_bytes: options.sizeBytes + 2 * GIB, // so that an image of any content fits; it is a limit, nothing is taken
        power: 'On',
        soft_off_ms: 300,
        agent: { api_url: provisioning, ca_file: certificate },
      },
    ],
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
