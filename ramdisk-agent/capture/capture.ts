import type { StreamImageParams, StreamImageProgress } from '../../protocol/agent-api.ts';
import type { CapturePrediction } from '../../protocol/capture.ts';
import type { ProgressClock } from '../progress-clock.ts';

/** One capture under way: its limits, and where its progress is told. */
export interface Capture {
  params: StreamImageParams;
  /** Of the whole command; told whenever something moves. */
  clock: ProgressClock;
  progress(phase: StreamImageProgress['phase'], bytesDone: number, bytesTotal: number, prediction?: CapturePrediction): void;
}
