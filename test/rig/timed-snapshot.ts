import { bootMarker } from '../../demo/own-system.ts';
import type { SnapshotOptions } from '../../protocol/capture.ts';
import { runProgram } from '../../protocol/program.ts';
import type { SnapshotView } from '../../protocol/provision.ts';
import { STEP_TIMEOUT_MS } from './serial-console.ts';
import { labelOf } from './system-machine.ts';
import type { SystemRig } from './system-rig.ts';

/** Reading a whole disk through a processor that is not there. */
export const SNAPSHOT_TIMEOUT_MS = 6 * STEP_TIMEOUT_MS;
const UNPACK_TIMEOUT_MS = 30_000;

/** Seconds from the moment at which the machine was powered on into its ramdisk; what was not seen is null. */
export interface SnapshotFigures {
  lookup_s: number | null;
  first_byte_s: number | null;
  /** The image is whole and verified; the server leaves the ramdisk. */
  captured_s: number | null;
  boot_marker_s: number | null;
  /** The image is in the image service and the node active. */
  done_s: number | null;
  downtime_s: number | null;
  image_bytes: number | null;
  agent_peak_bytes: number | null;
}

/**
 * Takes a snapshot of the rig's machine `index`, which runs from its own disk, and waits until it does so again.
 * @throws Error when it fails.
 */
export async function takeTimedSnapshot(rig: SystemRig, node: string, { index = 0, ...options }: SnapshotOptions & { index?: number } = {}): Promise<{ imageId: string; view: SnapshotView; figures: SnapshotFigures }> {
  const [console, marker] = [rig.console(index), bootMarker(labelOf(index))];
  const ramdiskBoot = console.boots + 1;
  const seen = new Map<string, number>();
  const note = (event: string): unknown => seen.has(event) || seen.set(event, Date.now());
  const imageId = await rig.beginSnapshot(node, options);
  const { driver_internal_info: info } = await rig.settled(node, 'active', SNAPSHOT_TIMEOUT_MS, ({ driver_internal_info: { snapshot } }) => {
    if ((snapshot?.bytes_done ?? 0) > 0) note('first byte');
    if (console.boots > ramdiskBoot && console.text().includes(marker)) note('marker');
  });
  note('done');
  await console.until(marker, { after: ramdiskBoot });
  note('marker');
  const poweredOnAt = Date.parse(rig.machine(index).bootLog[ramdiskBoot - 1]!.at);
  const after = (at: number | undefined): number | null => (at === undefined ? null : Math.round((at - poweredOnAt) / 100) / 10);
  const logged = (matches: (line: Record<string, unknown>) => boolean): number | null => after(rig.conductor.process.lines.findLast((line) => line['node'] === node && matches(line))?.['time'] as number | undefined);
  const view = info.snapshot!;
  return {
    imageId,
    view,
    figures: {
      lookup_s: logged(({ msg }) => msg === 'ramdisk looked itself up'),
      first_byte_s: after(seen.get('first byte')),
      captured_s: logged(({ msg, phase }) => msg === 'phase begins' && phase === 'boot back'),
      boot_marker_s: after(seen.get('marker')),
      done_s: after(seen.get('done')),
      downtime_s: view.downtime_s,
      image_bytes: view.size_bytes,
      agent_peak_bytes: await peakOfAgent(rig, node),
    },
  };
}

/** Of the agent's resident memory, by the logs of its ramdisk: its console may be cut off before it shows the end. */
async function peakOfAgent(rig: SystemRig, node: string): Promise<number | null> {
  const kept = rig.conductor.process.lines.findLast((line) => line['node'] === node && line.msg === 'logs of the ramdisk are kept');
  if (!kept) return null;
  const { stdout } = await runProgram('tar', ['--extract', '--gzip', '--to-stdout', '--file', kept['file'] as string], { timeoutMs: UNPACK_TIMEOUT_MS });
  return Number(/"peakMemoryBytes":(\d+)/.exec(stdout)?.[1] ?? NaN) || null;
}

/** For the documentation: one line of JSON in the test's output. */
export function printFigures(figures: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`figures: ${JSON.stringify(figures)}\n`);
}
