/** The image service behind a real Keystone: a real Glance, and tokens that end. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { GlanceClient } from '../../../image-service/client.ts';
import { KeystoneSession, type KeystoneOptions } from '../../../image-service/keystone-session.ts';
import { createHttpClient } from '../../../protocol/http-client.ts';
import type { Image } from '../../../protocol/image.ts';
import { createLogger } from '../../../protocol/log.ts';
import { VERSION_HEADER } from '../../../protocol/microversion.ts';
import { startGlance, type Glance } from '../../peers/glance.ts';
import type { Person } from '../../peers/keystone-directory.ts';
import { startKeystone, type Keystone } from '../../peers/keystone.ts';
import { ConductorProcess } from '../../rig/conductor-process.ts';
import { until } from '../../rig/until.ts';
import { fileData } from '../../rig/image-data.ts';

/** A Keystone of Python takes its time on a busy machine. */
const PATIENCE_MS = 180_000;
const CONTENT = randomBytes(300_000);

let directory: string;
let path: string;
let keystone: Keystone;
let glance: Glance;
let writer: Person;
let people: Record<'ann' | 'bob', Person>;
let projects: Record<'alpha' | 'beta' | 'service', string>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keystone-images-'));
  path = join(directory, 'image.qcow2');
  await writeFile(path, CONTENT);
  keystone = await startKeystone();
  const { cloud } = keystone;
  projects = { alpha: await cloud.project('alpha'), beta: await cloud.project('beta'), service: await cloud.project('service') };
  const validator = await cloud.user('glance');
  await cloud.grant(validator, 'service', { projectId: projects.service });
  writer = await cloud.user('metalshot');
  for (const role of ['admin', 'service']) await cloud.grant(writer, role, { projectId: projects.service });
  people = { ann: await cloud.user('ann'), bob: await cloud.user('bob') };
  await cloud.grant(people.ann, 'member', { projectId: projects.alpha });
  await cloud.grant(people.bob, 'member', { projectId: projects.beta });
  glance = await startGlance({ keystone: { authUrl: keystone.authUrl, username: 'glance', password: validator.password, project: 'service' } });
  await cloud.service('image', glance.url);
}, PATIENCE_MS);
afterAll(async () => {
  await glance?.stop();
  await keystone?.stop();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

const byPassword = (person: Person, project: string, secret = person.password): KeystoneOptions['credentials'] => ({ kind: 'password', username: person.name, userDomainName: 'Default', projectName: project, projectDomainName: 'Default', secret: async () => secret });
const open = (credentials: KeystoneOptions['credentials'], more: Partial<KeystoneOptions> = {}): KeystoneSession => new KeystoneSession({ authUrl: keystone.authUrl, credentials, configKey: 'image_service.keystone', interface: 'public', timeoutMs: 30_000, ...more });
const clientOf = (session: KeystoneSession): GlanceClient => new GlanceClient({ url: () => session.endpoint('image'), token: session, timeoutMs: 30_000, log: createLogger('test', 'silent') });
const holder = (client: GlanceClient, name: string): Promise<Image> => client.create({ name, disk_format: 'qcow2', container_format: 'bare' });
const upload = (client: GlanceClient, id: string): Promise<void> => client.upload(id, fileData(path), CONTENT.length, { signal: new AbortController().signal });
const verify = (client: GlanceClient, id: string): Promise<void> => client.verify(id, { sizeBytes: CONTENT.length, osHashValue: createHash('sha512').update(CONTENT).digest('hex') });

describe('the image client', () => {
  test('finds the endpoint in the catalog, makes images of its project, uploads and verifies', async () => {
    const session = open(byPassword(people.ann, 'alpha'), { region: 'RegionOne' });
    const client = clientOf(session);
    const image = await holder(client, 'by password');
    expect([image.owner, await client.projectId()]).toEqual([projects.alpha, projects.alpha]);
    await upload(client, image.id);
    await verify(client, image.id);
    await expect(open(byPassword(people.ann, 'alpha'), { region: 'Elsewhere' }).endpoint('image')).rejects.toThrow('found public in RegionOne');
    await expect(open(byPassword(people.ann, 'alpha'), { interface: 'internal' }).endpoint('image')).rejects.toThrow('internal endpoint of type image');
  }, PATIENCE_MS);

  test('uploads with a new token when its old one has ended meanwhile', async () => {
    const session = open(byPassword(people.ann, 'alpha'));
    const client = clientOf(session);
    await keystone.tokensLive(10);
    const old = await session.token();
    await keystone.tokensLive(3_600);
    const image = await holder(clientOf(open(byPassword(people.ann, 'alpha'))), 'much later');
    await until('the token has ended', async () => !(await keystone.cloud.knows(old)));
    await upload(client, image.id);
    await verify(client, image.id);
    expect(await session.token()).not.toBe(old);
  }, PATIENCE_MS);

  test('goes on after its token was revoked, also in the midst of a snapshot: asked anew, uploaded anew', async () => {
    const session = open(byPassword(people.ann, 'alpha'));
    const client = clientOf(session);
    const image = await holder(client, 'revoked');
    await keystone.cloud.revoke(await session.token());
    expect(await client.show(image.id)).toMatchObject({ status: 'queued' });
    await keystone.cloud.revoke(await session.token());
    await upload(client, image.id);
    await verify(client, image.id);
  }, PATIENCE_MS);

  test('works with an application credential until that is taken away', async () => {
    const { id, secret } = await keystone.cloud.applicationCredential(people.ann, 'alpha');
    const session = open({ kind: 'application credential', id, secret: async () => secret });
    const client = clientOf(session);
    const image = await holder(client, 'by credential');
    expect(image.owner).toBe(projects.alpha);
    await upload(client, image.id);
    await verify(client, image.id);
    await keystone.cloud.removeApplicationCredential(people.ann, 'alpha', id);
    await expect(client.show(image.id)).rejects.toThrow(/application credential .*check image_service\.keystone\.application_credential_id/);
    await expect(client.show(image.id)).rejects.not.toThrow(secret);
  }, PATIENCE_MS);

  test.each<[string, () => KeystoneOptions['credentials']]>([
    ['wrong password', () => byPassword(people.ann, 'alpha', 'not the password')],
    ['project in which the user has no role', () => byPassword(people.ann, 'beta')],
    ['unknown user', () => byPassword({ ...people.ann, name: 'nobody' }, 'alpha')],
  ])('a %s is told with the keys to look at, never with the secret', async (_what, credentials) => {
    const error = await clientOf(open(credentials())).list().catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'OperationFailed', message: expect.stringMatching(/does not accept user .*check image_service\.keystone\.username, its password, project_name/) });
    expect(inspect(error, { depth: 10 })).not.toContain('not the password');
  }, PATIENCE_MS);
});

describe('a conductor with Keystone on both sides', () => {
  let conductor: ConductorProcess;
  let node: string;
  beforeAll(async () => {
    await writeFile(join(directory, 'password'), writer.password, { mode: 0o600 });
    const section = { auth_url: keystone.authUrl, username: writer.name, password_file: join(directory, 'password'), project_name: 'service', timeout_s: 20 };
    conductor = await ConductorProcess.start(directory, { config: { api: { auth: 'keystone', keystone: section }, image_service: { keystone: section } } });
    const made = await call(await keystone.cloud.adminToken(), 'POST', '/v1/nodes', { driver: 'fake-hardware', snapshot_interface: 'agent', owner: projects.alpha });
    expect(made).toMatchObject({ status: 201 });
    node = made.body['uuid'] as string;
  }, PATIENCE_MS);
  afterAll(() => conductor?.process.stop(), 60_000);

  async function call(token: string, method: string, url: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }> {
    const reply = await createHttpClient({ baseURL: conductor.apiUrl, timeoutMs: 60_000, headers: { [VERSION_HEADER]: '1.116', 'X-Auth-Token': token } }).request<Record<string, unknown>>({ method, url, data: body });
    return { status: reply.status, body: reply.data };
  }
  /** What the dry run of a snapshot into the image says of the image. */
  async function judged(who: Person | 'admin', imageId: string): Promise<{ result: boolean; reason?: string }> {
    const token = who === 'admin' ? await keystone.cloud.adminToken() : await keystone.cloud.token(who, { project: 'alpha' });
    const { status, body } = await call(token, 'PUT', `/v1/nodes/${node}/states/provision`, { target: 'snapshot', image_ref: imageId, dry_run: true });
    expect(status).toBe(200);
    return (body['checks'] as Record<string, { result: boolean; reason?: string }>)['image']!;
  }

  test('snapshots go into images of the caller\'s own project; an administrator may name any', async () => {
    const ours = await holder(clientOf(open(byPassword(people.ann, 'alpha'))), 'of alpha');
    const theirs = await holder(clientOf(open(byPassword(people.bob, 'beta'))), 'of beta');
    const own = await holder(clientOf(open(byPassword(writer, 'service'))), 'of the conductor');
    const { ann } = people;
    expect(await judged(ann, ours.id)).toEqual({ result: true });
    expect(await judged(ann, theirs.id)).toEqual({ result: false, reason: expect.stringContaining(`it belongs to project ${projects.beta}`) });
    expect(await judged(ann, own.id)).toEqual({ result: false, reason: expect.stringContaining(projects.service) });
    for (const image of [ours, theirs, own]) expect(await judged('admin', image.id)).toEqual({ result: true });
    expect(conductor.process.text).not.toContain(writer.password);
  }, PATIENCE_MS);

  test('it starts without Keystone, and says what is missing when an image is asked about', async () => {
    await conductor.process.stop();
    await keystone.end();
    await conductor.restart();
    expect((await createHttpClient({ baseURL: conductor.apiUrl, timeoutMs: 10_000 }).get('/v1')).status).toBe(200);
    expect((await call('a-token-that-has-to-be-asked-about', 'GET', '/v1/nodes')).status).toBe(503);
    await keystone.start();
    const image = await holder(clientOf(open(byPassword(people.ann, 'alpha'))), 'after the outage');
    expect(await judged(people.ann, image.id)).toEqual({ result: true });
  }, PATIENCE_MS);
});
