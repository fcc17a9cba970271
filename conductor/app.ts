import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../protocol/log.ts';
import { GlanceClient } from '../image-service/client.ts';
import { createImageServer } from '../image-service/embedded/server.ts';
import { noToken, staticToken, type TokenProvider } from '../image-service/token-provider.ts';
import { Share } from '../webdav/share.ts';
import { createAgentClient } from './agent-client.ts';
import { createAdminApp } from './api/admin-app.ts';
import { httpBasic, noAuth } from './api/authentication.ts';
import { createProvisioningApp } from './api/provisioning-app.ts';
import { ensureCertificate } from './certificates.ts';
import type { Config } from './config.ts';
import { openDatabase, type Database } from './db/database.ts';
import { createHardwareRegistry } from './drivers/hardware.ts';
import type { SnapshotLimits } from './drivers/interfaces.ts';
import { createAgentSnapshotDriver } from './drivers/snapshot/agent.ts';
import { hashCredential } from './drivers/snapshot/stream-command.ts';
import { Listener } from './listener.ts';
import { ownDirectory } from './directory-ownership.ts';
import { BackgroundWork } from './workflow/background-work.ts';
import { ConductorWorkflow } from './workflow/conductor-workflow.ts';
import type { WorkflowTimes } from './workflow/parts.ts';

export interface RunningConductor {
  urls: { api: string; provisioning: string; imageService: string };
  /** Stops answering, ends background work, closes the database. What was under way is settled at the next start. */
  close(): Promise<void>;
}

/** Where the share is mounted on the provisioning listener. */
const SHARE_PATH = '/snapshots';
const CONDUCTOR_TOUCH_MS = 10_000;


/**
 * Wires and starts a conductor. Sockets are bound first, so that a wrong address is known before anything is touched, and
 * answer only once recovery has every node in hand.
 * @throws MetalshotError naming the configuration key that is at fault.
 */
export async function startConductor(config: Config, log: Logger): Promise<RunningConductor> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    return { urls: await start(config, log, closers), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(config: Config, log: Logger, closers: (() => Promise<void>)[]): Promise<RunningConductor['urls']> {
  await mkdir(config.state_directory, { recursive: true, mode: 0o700 });
  closers.push(await ownDirectory(config.state_directory));
  const admin = await bind(config, 'api', closers);
  const provisioning = await bind(config, 'provisioning', closers);
  const imageServiceUrl = config.image_service.url ?? (await startEmbeddedImageService(config, log, closers));

  const db = await openDatabase({ path: join(config.state_directory, 'metalshot.sqlite') });
  closers.push(() => db.close());
  const images = new GlanceClient({
    url: imageServiceUrl,
    token: await imageToken(config),
    timeoutMs: milliseconds(config.image_service.timeout_s),
    ...(config.image_service.ca_file === undefined ? {} : { ca: await readFile(config.image_service.ca_file, 'utf8') }),
    log,
  });
  const limits = limitsOf(config);
  const share = new Share({
    directory: config.snapshot.spool_directory ?? join(config.state_directory, 'spool'),
    publicUrl: new URL(SHARE_PATH, config.provisioning.advertise_url ?? provisioning.listener.url).href,
    ...(provisioning.certificate === undefined ? {} : { ca: provisioning.certificate }),
    credentials: { snapshotOf: (username, password) => snapshotOfCredential(db, username, password) },
    reserveBytes: config.snapshot.spool_reserve_bytes,
    log,
  });
  closers.push(() => share.close());
  const hardware = createHardwareRegistry({ enabled: config.enabled_hardware_types, services: { agentSnapshot: createAgentSnapshotDriver({ share, images, limits }) } });
  closers.push(() => hardware.close());
  const background = new BackgroundWork(log);
  closers.push(() => background.stop());
  const workflow = new ConductorWorkflow({
    host: config.host,
    db,
    hardware,
    share,
    images,
    agent: createAgentClient({ timeoutMs: milliseconds(config.conductor.agent_timeout_s) }),
    times: timesOf(config),
    limits,
    maxConcurrentCaptures: config.snapshot.max_concurrent,
    background,
    log,
  });

  const registration = { hostname: config.host, conductorGroup: config.conductor_group, drivers: hardware.names() };
  await db.conductors.register(registration);
  const known = new Set((await db.snapshots.unfinished()).map((snapshot) => snapshot.uuid));
  const orphans = await share.removeOrphans(known);
  if (orphans.length > 0) log.warn({ orphans }, 'intermediate images without a snapshot were removed');
  await workflow.start();
  background.every('touch the conductor record', CONDUCTOR_TOUCH_MS, () => db.conductors.touch(config.host));

  const parts = { db, workflow, hardware, config: { conductorName: config.host, conductorGroup: config.conductor_group }, log };
  const auth = config.api.auth === 'http_basic' && config.api.http_basic_file !== undefined ? httpBasic(config.api.http_basic_file) : noAuth();
  admin.listener.serve(createAdminApp({ ...parts, auth }));
  provisioning.listener.serve(createProvisioningApp({ ...parts, share: { path: SHARE_PATH, handler: share.handler } }));
  closers.push(async () => {
    await admin.listener.close(); // nobody is answered by what is being taken apart
    await provisioning.listener.close();
  });
  return { api: admin.listener.url, provisioning: provisioning.listener.url, imageService: imageServiceUrl };
}

async function bind(config: Config, section: 'api' | 'provisioning', closers: (() => Promise<void>)[]): Promise<{ listener: Listener; certificate: string | undefined }> {
  const { host, port, tls } = config[section];
  const hosts = [host, 'localhost', ...(section === 'provisioning' && config.provisioning.advertise_url !== undefined ? [new URL(config.provisioning.advertise_url).hostname] : [])];
  const pair =
    tls === 'none'
      ? null
      : tls === 'self-signed'
        ? await ensureCertificate(join(config.state_directory, 'certificates'), section, hosts)
        : { key: await readFile(tls.key, 'utf8'), cert: await readFile(tls.certificate, 'utf8') };
  const listener = await Listener.bind({ name: section, host, port, tls: pair });
  closers.push(() => listener.close());
  return { listener, certificate: pair?.cert };
}

async function startEmbeddedImageService(config: Config, log: Logger, closers: (() => Promise<void>)[]): Promise<string> {
  const server = createImageServer({ directory: join(config.state_directory, 'images'), log });
  await server.ready();
  closers.push(() => server.close());
  const listener = await Listener.bind({ name: 'image_service.embedded', ...config.image_service.embedded, tls: null });
  closers.push(() => listener.close());
  listener.serve(server.app);
  return listener.url;
}

async function imageToken(config: Config): Promise<TokenProvider> {
  const { token, token_file: file } = config.image_service;
  if (token !== undefined) return staticToken(token);
  return file === undefined ? noToken : staticToken((await readFile(file, 'utf8')).trim());
}

/** The share's password opens one snapshot only, and only while it is unfinished. */
async function snapshotOfCredential(db: Database, username: string, password: string): Promise<string | null> {
  const snapshot = await db.snapshots.byCredentialHash(hashCredential(password));
  return snapshot?.uuid === username ? snapshot.uuid : null;
}

const milliseconds = (seconds: number): number => Math.round(seconds * 1000);

const limitsOf = ({ conductor, snapshot }: Config): SnapshotLimits => ({
  softPowerOffTimeoutMs: milliseconds(conductor.soft_power_off_timeout_s),
  powerTimeoutMs: milliseconds(conductor.power_timeout_s),
  captureTimeoutMs: milliseconds(snapshot.capture_timeout_s),
  stallTimeoutMs: milliseconds(snapshot.stall_timeout_s),
  uploadTimeoutMs: milliseconds(snapshot.upload_timeout_s),
  uploadAttempts: snapshot.upload_attempts,
  uploadRetryPauseMs: milliseconds(snapshot.upload_retry_pause_s),
  requeueTimeoutMs: milliseconds(snapshot.requeue_timeout_s),
  maxImageBytes: snapshot.max_image_bytes,
  spoolReserveBytes: snapshot.spool_reserve_bytes,
});

const timesOf = ({ conductor, snapshot }: Config): WorkflowTimes => ({
  heartbeatTimeoutMs: milliseconds(conductor.heartbeat_timeout_s),
  callbackTimeoutMs: milliseconds(conductor.callback_timeout_s),
  checkIntervalMs: milliseconds(conductor.check_interval_s),
  pollIntervalMs: milliseconds(snapshot.poll_interval_s),
  lockAttempts: conductor.lock_attempts,
  lockRetryIntervalMs: milliseconds(conductor.lock_retry_interval_s),
  bootBackRetryMs: milliseconds(conductor.boot_back_retry_s),
  bootBackRetryMaxMs: milliseconds(conductor.boot_back_retry_max_s),
});
