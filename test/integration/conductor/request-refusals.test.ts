/** A snapshot request that can not be carried out is refused before the server is touched, with the status and the words that Ironic's clients expect. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { faultString, type Reply } from '../../rig/baremetal-api.ts';
import { Rig, type RigOptions } from '../../rig/rig.ts';
import { until } from '../../rig/until.ts';
import { emptyDisk } from './empty-disk.ts';

const VERSIONS = { 'x-openstack-ironic-api-minimum-version': '1.1', 'x-openstack-ironic-api-maximum-version': '1.116', 'openstack-request-id': expect.stringMatching(/^req-/) };

let directory: string;
let rig: Rig;

async function startRig(options: RigOptions = {}): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'refusals-'));
  try {
    rig = await Rig.start({ ...options, disks: [await emptyDisk(directory, 'disk-0.img'), await emptyDisk(directory, 'disk-1.img')] });
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}
async function closeRig(): Promise<void> {
  await rig.close();
  await rm(directory, { recursive: true, force: true });
}

/** Everything of a machine and its node that a request could have changed. */
async function stateOf(node: string, index = 0): Promise<unknown> {
  const { provision_state: state, target_provision_state: target, last_error: lastError, driver_internal_info: internal, power_state: power } = await rig.api.node(node);
  const { history } = await rig.api.expect(200, 'GET', `/v1/nodes/${node}/history`);
  const machine = rig.machine(index);
  return structuredClone({ state, target, lastError, internal, power, history, bootLog: machine.bootLog, powerState: machine.powerState, bootNext: { ...machine.bootOverride } });
}

async function expectUntouched<T>(node: string, work: () => Promise<T>, index = 0): Promise<T> {
  const before = await stateOf(node, index);
  const result = await work();
  expect(await stateOf(node, index)).toEqual(before);
  return result;
}

function expectRefusal(reply: Reply, status: number, reason: RegExp): void {
  expect({ status: reply.status, says: faultString(reply) }).toEqual({ status, says: expect.stringMatching(reason) });
  expect(JSON.parse(String(reply.body['error_message']))).toEqual({ faultcode: status < 500 ? 'Client' : 'Server', faultstring: expect.any(String), debuginfo: null });
  expect(reply.headers).toMatchObject({ ...VERSIONS, 'content-type': expect.stringContaining('application/json') });
}

/** An image that has data already. */
async function createActiveImage(): Promise<string> {
  const id = await rig.createHolder({ disk_format: 'qcow2', container_format: 'bare' });
  const { status } = await createHttpClient({ timeoutMs: 10_000 }).put(`${rig.conductor.imageUrl}/v2/images/${id}/file`, 'data', { headers: { 'Content-Type': 'application/octet-stream' } });
  expect(status).toBe(204);
  return id;
}

describe('a request for a snapshot', () => {
  let node: string;
  let other: string;
  let holder: string;
  beforeAll(async () => {
    await startRig({ config: { conductor: { soft_power_off_timeout_s: 60, power_timeout_s: 20 } } });
    [node, other] = [await rig.enrol(0), await rig.enrol(1)];
    holder = await rig.createHolder();
  }, 60_000);
  afterAll(closeRig, 60_000);
  const request = (body: Record<string, unknown>, minor?: number): Promise<Reply> => rig.api.provision(node, 'snapshot', body, minor);

  const BAD: [string, () => Promise<Record<string, unknown>>, RegExp][] = [
    ['without image_ref', async () => ({}), /image_ref: required/],
    ['with a null image_ref', async () => ({ image_ref: null }), /image_ref: required/],
    ['with a name for image_ref', async () => ({ image_ref: 'holder' }), /image_ref: expected the UUID.*found "holder"/],
    ['with a number for image_ref', async () => ({ image_ref: 7 }), /image_ref: expected the UUID.*found 7/],
    ['of an unknown image', async () => ({ image_ref: randomUUID() }), /the image service does not know it/],
    ['of an image that has data', async () => ({ image_ref: await createActiveImage() }), /its status is active.*queued/],
    ['of a holder for raw data', async () => ({ image_ref: await rig.createHolder({ disk_format: 'raw', container_format: 'bare' }) }), /its disk_format is raw; snapshots are qcow2/],
    ['of a holder in another container', async () => ({ image_ref: await rig.createHolder({ container_format: 'ovf' }) }), /its container_format is ovf/],
    ['with an unknown argument', async () => ({ image_ref: holder, image_name: 'x' }), /image_name/],
    ['with an argument of another verb', async () => ({ image_ref: holder, clean_steps: [{ interface: 'deploy', step: 'erase' }] }), /clean_steps/],
    ['with a dry_run that is no boolean', async () => ({ image_ref: holder, dry_run: 'yes' }), /dry_run/],
  ];
  test.each(BAD)('%s is 400, says why, and touches nothing', async (_what, body, reason) => {
    const wanted = await body();
    await expectUntouched(node, async () => expectRefusal(await request(wanted), 400, reason));
  });

  test('is 406 at 1.115, and 404 for a node that nobody knows', async () => {
    const old = await expectUntouched(node, () => request({ image_ref: holder }, 115));
    expectRefusal(old, 406, /1\.116/);
    expect(old.headers).toMatchObject({ 'x-openstack-ironic-api-version': '1.115' });
    expectRefusal(await rig.api.provision('nobody', 'snapshot', { image_ref: holder }), 404, /nobody could not be found/);
  });

  test('in maintenance is 400', async () => {
    await rig.api.expect(202, 'PUT', `/v1/nodes/${node}/maintenance`, { reason: 'new fans' });
    try {
      await expectUntouched(node, async () => expectRefusal(await request({ image_ref: holder }), 400, /maintenance/));
      await expectUntouched(node, async () => expect(failedOf(await dryRun(node, holder))).toEqual(['maintenance']));
    } finally {
      await rig.api.expect(202, 'DELETE', `/v1/nodes/${node}/maintenance`);
    }
  });

  test('while a slow power action holds the lock is 409 in the words that clients retry on', async () => {
    rig.machine().setFaults({ ignore_graceful_shutdown: true });
    await rig.api.expect(202, 'PUT', `/v1/nodes/${node}/states/power`, { target: 'soft power off', timeout: 5 });
    expectRefusal(await request({ image_ref: holder }), 409, /is locked by host conductor-of-tests, please retry after the current operation is completed/);
    expect(failedOf(await dryRun(node, holder))).toEqual(['lock']);
    expect((await rig.api.node(node)).reservation).toBe('conductor-of-tests'); // the lock was held all the time, and reading did not wait for it
    await rig.api.settled(node, 'active');
    rig.machine().setFaults({ ignore_graceful_shutdown: false });
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd']);
    expect(rig.machine().runningFrom).toBe('disk');
  });

  test('while the BMC hangs in somebody else\'s power action is 409 as well', async () => {
    rig.machine().setFaults({ bmc: { mode: 'hang' } });
    await rig.api.expect(202, 'PUT', `/v1/nodes/${node}/states/power`, { target: 'power on', timeout: 3 });
    expectRefusal(await request({ image_ref: holder }), 409, /is locked by host/);
    rig.machine().setFaults({ bmc: null });
    await rig.api.settled(node, 'active', 90_000);
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd']);
  }, 120_000);

  test('from a state that knows no snapshot is 400', async () => {
    const { uuid } = await rig.api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name: 'enrolled' });
    expectRefusal(await rig.api.provision('enrolled', 'snapshot', { image_ref: holder }), 400, new RegExp(`"snapshot" can not be performed on node "${String(uuid)}" while it is in state "enroll"`));
    expect((await dryRun('enrolled', holder))['state']).toMatchObject({ result: false });
    expect(await rig.api.node('enrolled')).toMatchObject({ provision_state: 'enroll', last_error: null });
  });

  test('with the interface no-snapshot is 400 with the reason, in validate too', async () => {
    await rig.api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name: 'never', snapshot_interface: 'no-snapshot' });
    await rig.api.demand('never', 'manage');
    await rig.api.settled('never', 'manageable');
    await rig.api.demand('never', 'adopt');
    await rig.api.settled('never', 'active');
    expectRefusal(await rig.api.provision('never', 'snapshot', { image_ref: holder }), 400, /no-snapshot.*--snapshot-interface agent/);
    expectRefusal(await rig.api.provision('never', 'snapshot', { image_ref: holder, dry_run: true }), 400, /no-snapshot/);
    expect(await rig.api.expect(200, 'GET', '/v1/nodes/never/validate')).toMatchObject({ snapshot: { result: false, reason: expect.stringContaining('no-snapshot') } });
    expect(await rig.api.node('never')).toMatchObject({ provision_state: 'active', last_error: null });
  });

  test('with dry_run answers every check, all good, and touches nothing', async () => {
    const checks = await expectUntouched(node, () => dryRun(node, holder));
    expect(failedOf(checks)).toEqual([]);
    expect(Object.keys(checks)).toEqual(expect.arrayContaining(['state', 'lock', 'maintenance', 'power', 'boot_device', 'image', 'holder', 'power_interface', 'management_interface', 'boot_interface', 'snapshot_interface']));
    expect(await rig.image(holder)).toMatchObject({ status: 'queued', disk_format: null });
  });

  test('with dry_run tells the one thing that is wrong', async () => {
    expect(failedOf(await dryRun(node, randomUUID()))).toEqual(['image']);
    expect((await dryRun(node, await createActiveImage()))['image']).toEqual({ result: false, reason: expect.stringContaining('its status is active') });
    rig.machine().setFaults({ bmc: { mode: 'error' } });
    try {
      const checks = await expectUntouched(node, () => dryRun(node, holder));
      expect(failedOf(checks)).toEqual(['boot_device', 'power']);
    } finally {
      rig.machine().setFaults({ bmc: null });
    }
    expect(failedOf(await dryRun(node, holder))).toEqual([]);
  }, 60_000);

  test('that is good is 202 with an empty body; then power is 409 in snapshotting and in snapshot wait, and its holder is taken', async () => {
    rig.machine().setFaults({ pxe_hangs: true, ignore_graceful_shutdown: true });
    rig.machine().lastReset = null;
    const accepted = await request({ image_ref: holder });
    expect({ status: accepted.status, body: accepted.body }).toEqual({ status: 202, body: '' });
    expect(accepted.headers).toMatchObject({ ...VERSIONS, 'x-openstack-ironic-api-version': '1.116', location: `${rig.conductor.apiUrl}/v1/nodes/${node}/states` });
    expect(await rig.api.node(node)).toMatchObject({ provision_state: 'snapshotting', target_provision_state: 'active', reservation: 'conductor-of-tests' });
    const power = (target: string): Promise<Reply> => rig.api.request('PUT', `/v1/nodes/${node}/states/power`, { target });
    for (const target of ['power off', 'power on', 'rebooting', 'soft power off']) expectRefusal(await power(target), 409, /in state "snapshotting": a snapshot is under way/);
    expect(rig.machine().bootLog.map((boot) => boot.target)).toEqual(['Hdd']);

    await until('the server is asked to shut down', () => rig.machine().lastReset === 'GracefulShutdown');
    await rig.machine().reset('ForceOff'); // the operating system that does not listen: a person at the button

    const waiting = await rig.api.settled(node, 'snapshot wait');
    expect(waiting).toMatchObject({ target_provision_state: 'active', driver_internal_info: { snapshot: { phase: 'await ramdisk', status: 'unfinished', requested_by: 'anonymous' } } });
    const boots = rig.machine().bootLog.length;
    for (const target of ['power off', 'rebooting']) expectRefusal(await power(target), 409, /in state "snapshot wait"/);
    expect(rig.machine().bootLog).toHaveLength(boots);
    expectRefusal(await request({ image_ref: await rig.createHolder() }), 400, /while it is in state "snapshot wait"/);

    await expectUntouched(other, async () => expectRefusal(await rig.api.provision(other, 'snapshot', { image_ref: holder }), 400, /already the target of another unfinished snapshot/), 1);
    expect(failedOf(await dryRun(other, holder))).toEqual(['holder']);

    await rig.api.demand(node, 'abort');
    await rig.api.settled(node, 'snapshot failed');
    expect(rig.machine().runningFrom).toBe('disk');
    await rig.api.demand(node, 'abort');
    await rig.api.settled(node, 'active');
    expect(failedOf(await dryRun(other, holder))).toEqual([]); // an ended snapshot holds it no more
  }, 90_000);

  test('that comes with others at the very same moment: one of them gets the node, one of two nodes gets the holder', async () => {
    for (const index of [0, 1]) rig.machine(index).setFaults({ pxe_hangs: true, ignore_graceful_shutdown: false });
    const fresh = await rig.createHolder();
    const both = [node, other];
    const replies = await Promise.all([...both, ...both].map((ident) => rig.api.provision(ident, 'snapshot', { image_ref: fresh })));
    const winners = replies.flatMap(({ status }, index) => (status === 202 ? [index % 2] : []));
    expect(winners).toHaveLength(1);
    for (const { status } of replies) expect([202, 400, 409]).toContain(status);
    const [winner = 0] = winners;
    const [won, lost] = winner === 0 ? [node, other] : [other, node];
    expect(await rig.api.node(lost)).toMatchObject({ provision_state: 'active', last_error: null, reservation: null });
    expect(rig.machine(1 - winner).runningFrom).toBe('disk');
    await rig.api.settled(won, 'snapshot wait');
    for (const state of ['snapshot failed', 'active']) {
      await rig.api.demand(won, 'abort');
      await rig.api.settled(won, state);
    }
    expect(rig.machine(winner).runningFrom).toBe('disk');
  }, 60_000);
});

describe('a request for a snapshot, when the conductor has no room', () => {
  beforeEach(() => startRig({ config: { snapshot: { spool_reserve_bytes: 2 ** 52 } } }), 60_000);
  afterEach(closeRig, 60_000);

  test('is 503 before the server is touched, and the dry run tells', async () => {
    const node = await rig.enrol();
    const holder = await rig.createHolder();
    await expectUntouched(node, async () => expectRefusal(await rig.api.provision(node, 'snapshot', { image_ref: holder }), 503, /spool has \d+ bytes free.*snapshot\.spool_reserve_bytes/));
    await expectUntouched(node, async () => expect(Object.values(await dryRun(node, holder)).filter(({ result }) => !result)).toEqual([{ result: false, reason: expect.stringContaining('snapshot.spool_reserve_bytes') }]));
  }, 60_000);
});

type Checks = Record<string, { result: boolean; reason?: string }>;
async function dryRun(node: string, imageRef: string): Promise<Checks> {
  const reply = await rig.api.provision(node, 'snapshot', { image_ref: imageRef, dry_run: true });
  expect(reply.status).toBe(200);
  const checks = reply.body['checks'] as Checks;
  for (const { result, reason } of Object.values(checks)) expect(result === (reason === undefined)).toBe(true);
  return checks;
}
const failedOf = (checks: Checks): string[] => Object.entries(checks).flatMap(([name, { result }]) => (result ? [] : [name])).sort();
