import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DIST } from './dist.ts';
import { freePort } from './free-port.ts';
import { ProgramProcess } from './program-process.ts';

/** Beside other work on a slow machine Node.js alone takes its time. */
const READY_TIMEOUT_MS = 240_000;

export interface ConductorOptions {
  /** Merged over the test's defaults, section by section. */
  config?: Record<string, Record<string, unknown>>;
  /** Kill the process (SIGKILL, by itself) the moment it logs that this phase begins. */
  dieAtPhase?: string;
  /** Configuration over the file, until it is restarted. */
  environment?: Readonly<Record<string, string>>;
}

/** A conductor as its users run it: its own process with a configuration file. Restarted, it has the same ports and state. */
export class ConductorProcess {
  readonly directory: string;
  readonly apiUrl: string;
  readonly provisioningUrl: string;
  readonly imageUrl: string;
  process: ProgramProcess;
  readonly #configFile: string;

  private constructor(directory: string, configFile: string, urls: { api: string; provisioning: string; image: string }, options: ConductorOptions) {
    this.directory = directory;
    this.#configFile = configFile;
    this.apiUrl = urls.api;
    this.provisioningUrl = urls.provisioning;
    this.imageUrl = urls.image;
    this.process = this.#spawn(options);
  }

  static async start(directory: string, options: ConductorOptions = {}): Promise<ConductorProcess> {
    const [api, provisioning, image] = [await freePort(), await freePort(), await freePort()];
    const given = options.config ?? {};
    const { '': atTheTop, ...sections } = given;
    const config = {
      host: 'conductor-of-tests',
      state_directory: join(directory, 'state'),
      enabled_hardware_types: ['redfish', 'fake-hardware'],
      ...atTheTop,
      ...sections,
      api: { port: api, ...given['api'] },
      provisioning: { port: provisioning, ...given['provisioning'] },
      image_service: { embedded: { port: image }, ...given['image_service'] },
      conductor: { heartbeat_timeout_s: 5, callback_timeout_s: 60, check_interval_s: 0.2, lock_retry_interval_s: 0.3, soft_power_off_timeout_s: 3, power_timeout_s: 20, boot_back_retry_s: 0.5, boot_back_retry_max_s: 1, ...given['conductor'] },
      snapshot: { poll_interval_s: 0.2, stall_timeout_s: 60, upload_retry_pause_s: 0.2, spool_reserve_bytes: 1024 ** 2, ...given['snapshot'] },
      deploy: { image_reserve_bytes: 1024 ** 2, ...given['deploy'] },
    };
    const file = join(directory, 'conductor.yaml');
    await writeFile(file, stringify(config));
    const urls = { api: `http://127.0.0.1:${api}`, provisioning: `https://${(given['provisioning']?.['host'] as string | undefined) ?? '127.0.0.1'}:${provisioning}`, image: given['image_service']?.['url'] as string | undefined ?? `http://127.0.0.1:${image}` };
    const conductor = new ConductorProcess(directory, file, urls, options);
    await conductor.#ready();
    return conductor;
  }

  /** After its death: the same conductor again, perhaps to die once more. */
  async restart(options: Pick<ConductorOptions, 'dieAtPhase' | 'environment'> = {}): Promise<void> {
    if (this.process.running) throw new Error('the conductor still runs');
    this.process = this.#spawn(options);
    await this.#ready();
  }

  get certificateFile(): string {
    return join(this.directory, 'state', 'certificates', 'provisioning.crt');
  }

  #spawn({ dieAtPhase, environment }: Pick<ConductorOptions, 'dieAtPhase' | 'environment'>): ProgramProcess {
    const env = dieAtPhase === undefined ? environment : { NODE_OPTIONS: `--import ${new URL('./die-at-phase.mjs', import.meta.url).href}`, DIE_AT_PHASE: dieAtPhase };
    return new ProgramProcess('conductor', join(DIST, 'conductor/main.js'), ['--config', this.#configFile], env);
  }

  async #ready(): Promise<void> {
    try {
      await this.process.line('conductor is ready', (line) => line.msg === 'conductor is ready', READY_TIMEOUT_MS);
    } catch (error) {
      await this.process.kill(); // or it would outlive its test
      throw error;
    }
  }
}
