import { describe, expect, test } from '@jest/globals';
import type { OperationTask } from '../../../../conductor/drivers/deployment.ts';
import type { SnapshotTask } from '../../../../conductor/drivers/interfaces.ts';
import { createFakeBoot } from '../../../../conductor/drivers/boot/fake.ts';
import { createFakeDeploy } from '../../../../conductor/drivers/deploy/fake.ts';
import { createFakeMachines } from '../../../../conductor/drivers/fake-machines.ts';
import { createFakePower } from '../../../../conductor/drivers/power/fake.ts';
import { createFakeSnapshot } from '../../../../conductor/drivers/snapshot/fake.ts';
import { createNoSnapshot } from '../../../../conductor/drivers/snapshot/no-snapshot.ts';
import type { JsonObject } from '../../../../protocol/json.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';

const withInfo = (driverInfo: JsonObject): ReturnType<typeof makeTask> => makeTask({ driverInfo });
/** The fakes read the node only, which is all that this task has of a snapshot's. */
const snapshotTask = (driverInfo: JsonObject): SnapshotTask => withInfo(driverInfo) as SnapshotTask;
const operationTask = (driverInfo: JsonObject = {}): OperationTask => withInfo(driverInfo) as OperationTask;

describe('the fake power', () => {
  test('begins with the state that the node\'s record has, and remembers each node by itself', async () => {
    const power = createFakePower(createFakeMachines());
    const on = makeTask({ powerState: 'power on' });
    const unknown = makeTask();
    expect(await power.getPowerState(on)).toBe('power on');
    await power.setPowerState(on, 'power off', 1);
    expect(await power.getPowerState(makeTask({ uuid: on.node.uuid, powerState: 'power on' }))).toBe('power off');
    expect(await power.getPowerState(unknown)).toBe('power off');
  });

  test('fails as driver_info orders, in every operation', async () => {
    const power = createFakePower(createFakeMachines());
    const task = withInfo({ fake_power_fail: 'the breaker has tripped' });
    await expect(power.validate(task)).resolves.toBeUndefined();
    for (const asked of [power.getPowerState(task), power.setPowerState(task, 'power on', 1), power.softPowerOff(task, 1)]) await expect(asked).rejects.toThrow('the breaker has tripped');
  });
});

describe('the fake deployment', () => {
  const deploy = createFakeDeploy();

  test('is done with everything when nothing is ordered', async () => {
    const task = operationTask();
    expect([await deploy.deploy(task), await deploy.continueDeploy(task), await deploy.clean(task, null), await deploy.continueClean(task)]).toEqual(['done', 'done', 'done', 'done']);
    await expect(deploy.tearDown(task)).resolves.toBeUndefined();
  });

  test('writes no image, runs no command and leaves nothing behind', async () => {
    expect(await deploy.describeImage(makeTask(), { source: 'anything', diskFormat: null, hashAlgo: null, hashValue: null }, null)).toBeNull();
    expect(await deploy.poll(operationTask())).toBe('continue');
    await expect(deploy.cleanUp(operationTask())).resolves.toBeUndefined();
  });

  test('waits or fails as ordered, step by step', async () => {
    const task = operationTask({ fake_deploy: { deploy: 'wait', continue: 'fail', tear_down: 'fail', clean: 'wait', continue_clean: 'wait' } });
    expect([await deploy.deploy(task), await deploy.clean(task, null), await deploy.continueClean(task)]).toEqual(['wait', 'wait', 'wait']);
    await expect(deploy.continueDeploy(task)).rejects.toThrow('continue failed, as driver_info.fake_deploy orders');
    await expect(deploy.tearDown(task)).rejects.toThrow('tear_down failed');
  });

  test.each([
    [{ fake_deploy: 'wait' }, 'driver_info.fake_deploy: expected an object'],
    [{ fake_deploy: { erase: 'done' } }, '"erase" is not a step; known are deploy, continue, tear_down, clean, continue_clean'],
    [{ fake_deploy: { toString: 'done' } }, '"toString" is not a step'],
    [{ fake_deploy: { tear_down: 'wait' } }, 'driver_info.fake_deploy.tear_down: expected done or fail, found "wait"'],
  ])('refuses the order %j', async (driverInfo, message) => {
    await expect(deploy.validate(withInfo(driverInfo))).rejects.toThrow(message);
  });

  test('knows the clean steps of Ironic\'s fake, and refuses others', async () => {
    expect(await deploy.clean(operationTask(), [{ interface: 'deploy', step: 'erase_devices' }, { interface: 'deploy', step: 'erase_devices_metadata' }])).toBe('done');
    await expect(deploy.clean(operationTask(), [{ interface: 'raid', step: 'create' }])).rejects.toMatchObject({ code: 'InvalidParameterValue' });
  });
});

describe('the fake snapshot', () => {
  const snapshot = createFakeSnapshot();

  test('waits for a heartbeat and is then done, and says that it captures nothing', async () => {
    expect(await snapshot.snapshot(snapshotTask({}))).toBe('wait');
    expect(await snapshot.poll(snapshotTask({}))).toBe('continue');
    expect(await snapshot.continueSnapshot(snapshotTask({}))).toBe('done');
    await expect(snapshot.cleanUp(snapshotTask({}))).resolves.toBeUndefined();
    expect(snapshot.unsupported).toBeUndefined();
    expect(snapshot.properties['fake_snapshot']).toMatch(/captures nothing and writes no image/);
  });

  test('does as ordered, and refuses an order that does not exist before anything begins', async () => {
    expect(await snapshot.snapshot(snapshotTask({ fake_snapshot: { snapshot: 'done' } }))).toBe('done');
    await expect(snapshot.continueSnapshot(snapshotTask({ fake_snapshot: { continue: 'fail' } }))).rejects.toThrow('continue failed');
    await expect(snapshot.requestChecks(withInfo({ fake_snapshot: { snapshot: 'maybe' } }), { imageRef: '', projectId: null })['fake_snapshot']!()).rejects.toThrow('expected wait or done or fail, found "maybe"');
  });
});

describe('no-snapshot', () => {
  test('refuses everything with the reason and what to do', async () => {
    const none = createNoSnapshot();
    expect(none.unsupported).toMatch(/takes none; set another one/);
    await expect(none.validate(makeTask())).rejects.toMatchObject({ code: 'UnsupportedDriverExtension' });
    for (const asked of [none.requestChecks(makeTask(), { imageRef: '', projectId: null })['supported']!(), none.snapshot(snapshotTask({})), none.poll(snapshotTask({}))]) await expect(asked).rejects.toThrow('does not support snapshot');
    await expect(none.cleanUp(snapshotTask({}))).resolves.toBeUndefined();
  });
});

describe('the fake boot', () => {
  test('prepares and cleans up as often as it is asked', async () => {
    const boot = createFakeBoot();
    for (const work of [boot.validate, boot.cleanUpRamdisk, boot.cleanUpRamdisk]) await expect(work(makeTask())).resolves.toBeUndefined();
    for (const work of [boot.prepareRamdisk, boot.prepareRamdisk]) await expect(work(makeTask())).resolves.toEqual({ ramdiskBoot: null, bootNonceHash: null });
  });
});
