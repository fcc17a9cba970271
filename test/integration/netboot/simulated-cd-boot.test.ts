import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { PortRow } from '../../../conductor/db/rows.ts';
import { createRedfishVirtualMediaBoot } from '../../../conductor/drivers/boot/redfish-virtual-media.ts';
import type { DriverTask } from '../../../conductor/drivers/interfaces.ts';
import { createRedfishManagement } from '../../../conductor/drivers/management/redfish.ts';
import { createRedfishPower } from '../../../conductor/drivers/power/redfish.ts';
import { createRedfishSystems, type RedfishSystems } from '../../../conductor/drivers/redfish-systems.ts';
import { makeTask } from '../../contract/power/driver-task.ts';
import { describeWhere } from '../../machine-needs.ts';
import { IsoServer } from '../../rig/iso-server.ts';
import { until } from '../../rig/until.ts';
import { ACCOUNT, startRack, SYSTEM, type RackUnderTest } from '../../unit/simulator/rack-under-test.ts';

/** Says that it runs, and goes on until the power is cut. */
const STAND_IN = ['sh', '-c', 'touch "$0" && exec sleep 600'];
const POWER_TIMEOUT_MS = 20_000;

describeWhere(['root'], 'a simulated machine, by the Redfish drivers', () => {
  let directory: string;
  let it: RackUnderTest;
  let isos: IsoServer;
  let systems: RedfishSystems;
  let task: DriverTask;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-cd-'));
    for (const name of ['vmlinuz', 'initramfs']) await writeFile(join(directory, name), name.repeat(1_000));
    isos = await IsoServer.start(directory, { ramdisk: { vmlinuz: join(directory, 'vmlinuz'), initramfs: join(directory, 'initramfs') } });
    it = await startRack({}, { agent_command: [...STAND_IN, join(directory, 'marker')] });
    systems = createRedfishSystems({ firstPollMs: 5, maxPollMs: 50 });
    task = { ...makeTask({ driverInfo: { redfish_address: it.rack.url, redfish_system_id: SYSTEM, redfish_username: ACCOUNT.username, redfish_password: ACCOUNT.password } }), ports: [{ address: '52:54:00:00:00:01', pxeEnabled: true } as PortRow] };
  });
  afterEach(async () => {
    await systems.close();
    await it.close();
    await isos.close();
    await rm(directory, { recursive: true, force: true });
  });

  test('boots our ISO once and brings the nonce that is in it; then its own disk, with an empty drive', async () => {
    const boot = createRedfishVirtualMediaBoot(systems, isos);
    const [power, management] = [createRedfishPower(systems), createRedfishManagement(systems)];
    const machine = it.rack.machine('m1');
    await boot.validate(task);

    const { bootNonceHash } = await boot.prepareRamdisk(task);
    await management.setBootDevice(task, boot.ramdiskDevice, false);
    await power.setPowerState(task, 'power on', POWER_TIMEOUT_MS);
    await until('the agent runs', () => existsSync(join(directory, 'marker')), 30_000, () => machine.bootLog);
    expect(machine.bootLog).toMatchObject([{ target: 'Cd', result: 'running', error: null }]);
    expect(machine.runningFrom).toBe('ramdisk');
    const { boot_nonce: nonce } = JSON.parse(await readFile(join(machine.directory, 'agent.json'), 'utf8')) as { boot_nonce: string };
    expect(createHash('sha256').update(nonce).digest('hex')).toBe(bootNonceHash);

    const url = machine.virtualMedia.image ?? '';
    await power.setPowerState(task, 'power off', POWER_TIMEOUT_MS);
    await boot.cleanUpRamdisk(task);
    expect([machine.virtualMedia.image, (await it.anonymous.get(url)).status]).toEqual([null, 404]);
    await power.setPowerState(task, 'power on', POWER_TIMEOUT_MS);
    expect(machine.runningFrom).toBe('disk');
  }, 60_000);
});
