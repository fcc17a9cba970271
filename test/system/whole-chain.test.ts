import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { join } from 'node:path';
import { damageDisk } from '../../demo/damage.ts';
import { bootMarker } from '../../demo/own-system.ts';
import type { SnapshotOptions } from '../../protocol/capture.ts';
import type { OperationView } from '../../protocol/provision.ts';
import { readBootVariables, type BootVariables } from '../../simulator/firmware-variables.ts';
import { FIRMWARE_VARIABLES_FILE } from '../../simulator/virtual-hardware.ts';
import { describeWhere } from '../machine-needs.ts';
import { clearRanges, freeRangesOf, type ByteRange } from '../rig/free-blocks.ts';
import { differenceOf } from '../rig/image-files.ts';
import { STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { labelOf, type SystemMachineOptions } from '../rig/system-machine.ts';
import { SystemRig } from '../rig/system-rig.ts';
import { printFigures, SNAPSHOT_TIMEOUT_MS, takeTimedSnapshot } from '../rig/timed-snapshot.ts';

const GIB = 1024 ** 3;
const MARKER = bootMarker(labelOf(0));

interface Chain {
  name: string;
  machine: SystemMachineOptions;
  options: SnapshotOptions;
  method: 'mount' | 'stream';
}
const CHAINS: readonly Chain[] = [
  { name: 'a BIOS machine behind IPMI, by the mount', machine: { firmware: 'bios', bmc: 'ipmi' }, options: { snapshot_method: 'mount' }, method: 'mount' },
  { name: 'a UEFI machine behind Redfish, by what is chosen unasked', machine: { firmware: 'uefi', bmc: 'redfish' }, options: {}, method: 'stream' },
];

describeWhere(['root', 'tun', 'network namespace'], 'a machine with nothing but a BMC and a network card', () => {
  describe.each(CHAINS)('$name', ({ machine, options, method }) => {
    let rig: SystemRig;
    let node: string;
    let image: string;
    /** Its disk when it was off. */
    let before: string;
    let free: ByteRange[];
    beforeAll(async () => {
      const cleansOnce = { automated_clean: machine.firmware === 'bios' }; // it takes a boot of the ramdisk
      rig = await SystemRig.start({ machines: [machine, { ...machine, blank: true, diskBytes: 2 * GIB }], config: { deploy: cleansOnce } });
    }, STEP_TIMEOUT_MS);
    afterAll(() => rig?.close(), STEP_TIMEOUT_MS);

    /** Says what the machines and the conductor did when it fails. */
    const shown = (body: () => Promise<void>) => async (): Promise<void> => {
      try {
        await body();
      } catch (error) {
        process.stderr.write(rig.describe());
        throw error;
      }
    };
    const bootVariables = async (): Promise<BootVariables | null> => (machine.firmware === 'uefi' ? readBootVariables(join(rig.machine().directory, FIRMWARE_VARIABLES_FILE)) : null);
    /** A stream leaves out what the file system has free: that is not compared then. */
    const differenceFromBefore = async (rawDisk: string): Promise<string | null> => {
      if (method === 'stream') for (const disk of [rawDisk, before]) await clearRanges(disk, free);
      return differenceOf({ path: rawDisk, format: 'raw' }, { path: before, format: 'raw' });
    };
    const operationOf = async (ident: string): Promise<OperationView> => (await rig.api.node(ident)).driver_internal_info['operation'] as OperationView;

    test('is captured as it was, and runs from its own disk again, with its boot order untouched', shown(async () => {
      await rig.console().until(MARKER);
      node = await rig.enrol();
      await rig.shutDown();
      before = await rig.copyDisk();
      free = await freeRangesOf(before, rig.disks[0]!.fileSystem.offsetBytes);
      const variables = await bootVariables();
      await rig.machine().reset('On');
      await rig.console().until(MARKER, { after: 1 });

      const { imageId, view, figures } = await takeTimedSnapshot(rig, node, options);
      image = imageId;
      printFigures({ machine: `${machine.firmware} ${machine.bmc}`, method: view.report?.method, disk_bytes: GIB, ...figures });
      expect(view).toMatchObject({ status: 'done', image_ref: image, boot_back: 'done', report: { method, fallback_reason: null } });
      expect(rig.machine().bootLog.map(({ target }) => target)).toEqual(['Hdd', 'Hdd', 'Pxe', 'Hdd']);
      await rig.shutDown();
      expect(await differenceOf({ path: rig.disks[0]!.path, format: 'raw' }, { path: before, format: 'raw' })).toBeNull();
      expect(await bootVariables()).toEqual(variables);
      expect(await differenceFromBefore(await rig.unpackImage(image))).toBeNull();
    }), SNAPSHOT_TIMEOUT_MS + 4 * STEP_TIMEOUT_MS);

    test('is restored from the image after its disk was damaged, and boots', shown(async () => {
      await damageDisk(rig.disks[0]!);
      const { boots } = rig.console();
      await rig.api.demand(node, 'rebuild', { image_ref: image });
      await rig.settled(node, 'active', SNAPSHOT_TIMEOUT_MS);
      expect(await operationOf(node)).toMatchObject({ kind: 'rebuild', status: 'done' });
      await rig.console().until(MARKER, { after: boots + 1 });
      await rig.shutDown();
      expect(await differenceFromBefore(await rig.copyDisk(0, 'restored'))).toBeNull();
    }), SNAPSHOT_TIMEOUT_MS + 2 * STEP_TIMEOUT_MS);

    test('is the model of a second, larger machine, which boots', shown(async () => {
      const second = await rig.enrolManageable(1);
      await rig.api.demand(second, 'provide');
      await rig.settled(second, 'available', SNAPSHOT_TIMEOUT_MS);
      const { boots } = rig.console(1);
      await rig.api.demand(second, 'deploy', { image_ref: image });
      await rig.settled(second, 'active', SNAPSHOT_TIMEOUT_MS);
      expect(await operationOf(second)).toMatchObject({ kind: 'deploy', status: 'done', report: { backup_gpt: 'moved' } });
      await rig.console(1).until(MARKER, { after: boots + 1 }); // what the first machine's disk says of itself
    }), 2 * SNAPSHOT_TIMEOUT_MS);
  });
});
