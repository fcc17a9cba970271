import type { SnapshotOptions } from '../../../protocol/capture.ts';
import { capturePredictionSchema } from '../../../protocol/capture.ts';
import type { SnapshotRow } from '../../db/rows.ts';

type Budgeted = Readonly<Pick<SnapshotRow, 'options' | 'poweredOffAt' | 'prediction' | 'step' | 'bytesDone' | 'bytesTotal' | 'phase'>>;

/** Phases in which the server is down for the capture and nothing of it is safe yet. */
const CAPTURING: readonly string[] = ['await ramdisk', 'boot device back', 'command', 'streaming'];

/**
 * Why a snapshot can not keep its `max_downtime`, which is counted from the power-off: the time is over, or what is left of
 * the capture takes longer than is left of it. Null: it can, it has no limit, or its server was off before.
 */
export function overBudget(snapshot: Budgeted, now = Date.now()): string | null {
  const { max_downtime: allowedS } = snapshot.options as SnapshotOptions;
  const { poweredOffAt } = snapshot;
  if (allowedS === undefined || poweredOffAt === null || !CAPTURING.includes(snapshot.phase)) return null;
  const downS = (now - poweredOffAt.getTime()) / 1_000;
  const predicted = capturePredictionSchema.safeParse(snapshot.prediction);
  const leftS = predicted.success ? predicted.data.duration_s * partLeft(snapshot) : 0;
  const ofPrediction = predicted.success ? `; the agent predicted ${predicted.data.duration_s} s for an image of ${predicted.data.image_bytes} bytes` : '';
  if (downS > allowedS) return `The server was down for ${downS.toFixed(1)} s and its capture had not ended: max_downtime allows ${allowedS} s${ofPrediction}. The capture was ended.`;
  if (downS + leftS > allowedS) return `The server would be down for ${(downS + leftS).toFixed(1)} s: max_downtime allows ${allowedS} s, ${downS.toFixed(1)} s have passed${ofPrediction}. The capture was ended.`;
  return null;
}

function partLeft({ step, bytesDone, bytesTotal }: Budgeted): number {
  if (step !== 'streaming' || bytesDone === null || bytesTotal === null || bytesTotal <= 0) return 1;
  return 1 - Math.min(1, bytesDone / bytesTotal);
}
