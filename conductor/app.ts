import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Logger } from '../protocol/log.ts';
import { GlanceClient } from '../image-service/client.ts';
import { createImageServer } from '../image-service/embedded/server.ts';
import { Share } from '../webdav/share.ts';
import { createAgentClient } from './agent-client.ts';
import { createAdminApp } from './api/admin-app.ts';
import { createProvisioningApp } from './api/provisioning-app.ts';
import { apiAuthentication, imageAccess } from './app-authentication.ts';
import { bindBoot, createBootService } from './app-boot.ts';
import { destinationsOf } from './app-destinations.ts';
import { bandwidthOf, dutiesOf, ipmiOptionsOf, limitsOf, milliseconds, networkCommandOf, operationLimitsOf, ramdiskLogsOf, readNamedFile, snapshotDefaultsOf, timesOf } from './app-settings.ts';
import { ensureCertificate } from './certificates.ts';
import type { Config } from './config.ts';
import { openDatabase, type Database } from './db/database.ts';
import { hashCredential } from './drivers/credential.ts';
import { createDirectDeploy } from './drivers/deploy/direct.ts';
import type { DeployImages } from './drivers/deployment.ts';
import { createHardwareRegistry } from './drivers/hardware.ts';
import { createAgentSnapshotDriver } from './drivers/snapshot/agent.ts';
import { ownDirectory } from './directory-ownership.ts';
import { createDeployImages, type DeployImagesOptions } from './images/deploy-images.ts';
import { createDestinations } from './images/destinations/destinations.ts';
import { ImageTargets } from './images/image-targets.ts';
import { Listener } from './listener.ts';
import { BackgroundWork } from './workflow/background-work.ts';
import { ConductorWorkflow } from './workflow/conductor-workflow.ts';
import { RamdiskLogs } from './workflow/ramdisk-logs.ts';

export interface RunningConductor {
  urls: { api: string; provisioning: string; imageService: string; boot?: string };
  /** Stops answering, ends background work, closes the database. What was under way is settled at the next start. */
  close(): Promise<void>;
}

/** Where the share, images and ISOs for machines are mounted on the provisioning listener. */
const SHARE_PATH = '/snapshots';
const IMAGES_PATH = '/images';
const ISO_PATH = '/iso';
const CONDUCTOR_TOUCH_MS = 10_000;
const KNOWN_MACHINES_MS = 5_000;

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
  const bootPlace = await bindBoot(config, closers);
  const imageService = await imageAccess(config, () => startEmbeddedImageService(config, log, closers));
  const auth = await apiAuthentication(config, log);

  const db = await openDatabase({ path: join(config.state_directory, 'metalshot.sqlite') });
  closers.push(() => db.close());
  const glance = new GlanceClient({
    url: imageService.url,
    token: imageService.token,
    timeoutMs: milliseconds(config.image_service.timeout_s),
    ...(config.image_service.ca_file === undefined ? {} : { ca: await readNamedFile('image_service.ca_file', config.image_service.ca_file) }),
    log,
  });
  const destinations = createDestinations(await destinationsOf(config));
  const images = new ImageTargets(glance, destinations.images);
  const limits = limitsOf(config);
  const forMachines = (path: string): { publicUrl: string; ca?: string } => ({
    publicUrl: new URL(path, config.provisioning.advertise_url ?? provisioning.listener.url).href,
    ...(provisioning.certificate === undefined ? {} : { ca: provisioning.certificate }),
  });
  const share = new Share({
    directory: config.snapshot.spool_directory ?? join(config.state_directory, 'spool'),
    ...forMachines(SHARE_PATH),
    credentials: { snapshotOf: (username, password) => snapshotOfCredential(db, username, password) },
    reserveBytes: config.snapshot.spool_reserve_bytes,
    ...bandwidthOf(config),
    log,
  });
  closers.push(() => share.close());
  const deployImages = createDeployImages({ ...(await deployImagesOptions(config)), ...forMachines(IMAGES_PATH), images: glance, credentials: (username, password) => operationOfCredential(db, username, password), log });
  closers.push(() => deployImages.close());
  const provisioningUrl = { url: config.provisioning.advertise_url ?? provisioning.listener.url, certificate: provisioning.certificate };
  const boot = bootPlace && (await createBootService(bootPlace, { db, provisioning: provisioningUrl, log, closers }));
  const services = { agentSnapshot: createAgentSnapshotDriver({ share, images, limits, defaults: snapshotDefaultsOf(config), streamAttempts: config.snapshot.stream_attempts }), directDeploy: createDirectDeploy(deployImages), ipmi: ipmiOptionsOf(config), ...networkCommandOf(config), ...(boot ? { bootFiles: boot.files } : {}) };
  const hardware = createHardwareRegistry({ enabled: config.enabled_hardware_types, services });
  closers.push(() => hardware.close());
  const background = new BackgroundWork(log);
  closers.push(() => background.stop());
  const agent = createAgentClient({ timeoutMs: milliseconds(config.conductor.agent_timeout_s) });
  const workflow = new ConductorWorkflow({
    host: config.host,
    db,
    hardware,
    share,
    images,
    agent,
    times: timesOf(config),
    duties: dutiesOf(config),
    limits,
    operationLimits: operationLimitsOf(config),
    automatedClean: config.deploy.automated_clean,
    maxConcurrentCaptures: config.snapshot.max_concurrent,
    callbackNetworks: config.provisioning.callback_networks,
    ramdiskLogs: new RamdiskLogs(ramdiskLogsOf(config), agent, log),
    background,
    log,
  });

  const registration = { hostname: config.host, conductorGroup: config.conductor_group, drivers: hardware.names() };
  await db.conductors.register(registration);
  await removeOrphans(db, share, deployImages, log);
  await workflow.start();
  background.every('touch the conductor record', CONDUCTOR_TOUCH_MS, () => db.conductors.touch(config.host));

  const parts = { db, workflow, hardware, config: { conductorName: config.host, conductorGroup: config.conductor_group }, log };
  admin.listener.serve(createAdminApp({ ...parts, auth }));
  const mounts = [{ path: SHARE_PATH, handler: share.handler }, { path: IMAGES_PATH, handler: deployImages.handler }, ...(boot ? [{ path: ISO_PATH, handler: boot.files.isoHandler }] : [])];
  provisioning.listener.serve(createProvisioningApp({ ...parts, mounts }));
  closers.push(async () => {
    await admin.listener.close(); // nobody is answered by what is being taken apart
    await provisioning.listener.close();
    await boot?.listener.close();
  });
  await boot?.serve();
  const { dhcp } = boot ?? {};
  if (dhcp) background.every('tell DHCP which machines are known', KNOWN_MACHINES_MS, () => dhcp.refresh());
  return { api: admin.listener.url, provisioning: provisioning.listener.url, imageService: imageService.shownUrl, ...(boot ? { boot: boot.listener.url } : {}) };
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

/** The share's password opens one snapshot only, and only while it is unfinished. */
async function snapshotOfCredential(db: Database, username: string, password: string): Promise<string | null> {
  const snapshot = await db.snapshots.byCredentialHash(hashCredential(password));
  return snapshot?.uuid === username ? snapshot.uuid : null;
}

/** So does the password with which a machine reads its image. */
async function operationOfCredential(db: Database, username: string, password: string): Promise<string | null> {
  const operation = await db.operations.byCredentialHash(hashCredential(password));
  return operation?.uuid === username ? operation.uuid : null;
}

const deployImagesOptions = async ({ state_directory: stateDirectory, deploy }: Config): Promise<Pick<DeployImagesOptions, 'directory' | 'limits' | 'fileRoots' | 'allowedNetworks' | 'sourceCa'>> => ({
  directory: resolve(deploy.image_directory ?? join(stateDirectory, 'deploy-images')),
  limits: {
    maxImageBytes: deploy.max_image_bytes,
    reserveBytes: deploy.image_reserve_bytes,
    fetchTimeoutMs: milliseconds(deploy.fetch_timeout_s),
    fetchAttempts: deploy.fetch_attempts,
    stallTimeoutMs: milliseconds(deploy.stall_timeout_s),
  },
  fileRoots: deploy.file_roots,
  allowedNetworks: deploy.allowed_networks,
  ...(deploy.ca_file === undefined ? {} : { sourceCa: await readNamedFile('deploy.ca_file', deploy.ca_file) }),
});

/** Files of work that had ended when the conductor died. */
async function removeOrphans(db: Database, share: Share, deployImages: DeployImages, log: Logger): Promise<void> {
  const snapshots = await share.removeOrphans(new Set((await db.snapshots.unfinished()).map(({ uuid }) => uuid)));
  const images = await deployImages.removeOrphans(new Set((await db.operations.unfinished()).map(({ uuid }) => uuid)));
  if (snapshots.length + images.length > 0) log.warn({ snapshots, images }, 'images that belong to no work any more were removed');
}
