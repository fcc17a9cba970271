import cliProgress from 'cli-progress';
import type { JsonObject } from '../protocol/json.ts';
import type { Output } from './output.ts';
import { formatBytes, formatDuration } from './quantities.ts';
import { bytesOf, describePhase, percent, stateOf, underWayOf } from './node-view.ts';

export interface ProgressReading {
  phase: string;
  /** Seconds since this phase was first seen. */
  phaseSeconds: number;
  bytes: { done: number; total: number } | undefined;
  /** Over the last seconds of this phase; undefined until two readings differ. */
  bytesPerSecond: number | undefined;
  secondsLeft: number | undefined;
}

const BAR_CELLS = 24;
const NARROWEST_BAR_CELLS = 4;
/** Rate and time left are judged over this much of the past. */
const WINDOW_MS = 20_000;

/** Makes rate and time left out of successive looks at a node. */
export class ProgressMeter {
  private phase = '';
  private phaseSinceMs = 0;
  private samples: { atMs: number; done: number }[] = [];

  observe(node: JsonObject, atMs: number): ProgressReading {
    const view = underWayOf(node);
    const phase = view ? describePhase(view) : stateOf(node);
    const bytes = view ? bytesOf(view) : undefined;
    if (phase !== this.phase || (bytes && bytes.done < (this.samples.at(-1)?.done ?? 0))) this.begin(phase, atMs);
    if (bytes) this.samples.push({ atMs, done: bytes.done });
    while (this.samples.length > 2 && atMs - (this.samples[1]?.atMs ?? atMs) >= WINDOW_MS) this.samples.shift();
    const bytesPerSecond = this.rate();
    return {
      phase,
      phaseSeconds: (atMs - this.phaseSinceMs) / 1000,
      bytes,
      bytesPerSecond,
      secondsLeft: bytes && bytesPerSecond ? (bytes.total - bytes.done) / bytesPerSecond : undefined,
    };
  }

  private begin(phase: string, atMs: number): void {
    this.phase = phase;
    this.phaseSinceMs = atMs;
    this.samples = [];
  }

  private rate(): number | undefined {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs || last.done <= first.done) return undefined;
    return (last.done - first.done) / ((last.atMs - first.atMs) / 1000);
  }
}

/** Shows a snapshot, a deployment or another operation under way. `close` leaves the line free for what is said next. */
export interface ProgressDisplay {
  show(node: JsonObject): void;
  close(): void;
}

/** A bar on a terminal; elsewhere a line for each new phase and each tenth of its bytes. */
export function openProgressDisplay(output: Output, title: string): ProgressDisplay {
  return output.talkStream.isTTY ? new BarDisplay(output, title) : new LineDisplay(output, title);
}

class LineDisplay implements ProgressDisplay {
  private readonly meter = new ProgressMeter();
  private readonly output: Output;
  private readonly title: string;
  private phase = '';
  private tenth = 0;

  constructor(output: Output, title: string) {
    this.output = output;
    this.title = title;
  }

  show(node: JsonObject): void {
    const reading = this.meter.observe(node, Date.now());
    const tenth = reading.bytes ? Math.floor(percent(reading.bytes) / 10) : 0;
    if (reading.phase === this.phase && tenth === this.tenth) return;
    this.phase = reading.phase;
    this.tenth = tenth;
    this.output.say([`${this.title}: ${reading.phase}`, ...describeBytes(reading)].join(', '));
  }

  close(): void {
    // Every line is complete when it is written.
  }
}

class BarDisplay implements ProgressDisplay {
  private readonly meter = new ProgressMeter();
  private readonly output: Output;
  private readonly bar: cliProgress.SingleBar;

  constructor(output: Output, title: string) {
    this.output = output;
    const stream = output.talkStream;
    this.bar = new cliProgress.SingleBar({
      stream,
      barsize: BAR_CELLS,
      barCompleteChar: '#',
      barIncompleteChar: '-',
      clearOnComplete: true,
      hideCursor: false,
      linewrap: true,
      gracefulExit: false, // Ctrl-C is handled in one place, main.ts
      format: (options, params, payload: { reading?: ProgressReading }) => drawLine(title, payload.reading, (barsize) => cliProgress.Format.BarFormat(params.progress, { ...options, barsize }), stream.columns ?? 80),
    });
    output.setLiveLine(true);
    this.bar.start(1, 0, {});
  }

  show(node: JsonObject): void {
    const reading = this.meter.observe(node, Date.now());
    this.bar.setTotal(reading.bytes?.total ?? 1);
    this.bar.update(reading.bytes?.done ?? 0, { reading });
  }

  close(): void {
    this.bar.stop();
    this.output.setLiveLine(false);
  }
}

/** On a narrow terminal the title and then the bar give way to the numbers. */
function drawLine(title: string, reading: ProgressReading | undefined, drawBar: (cells: number) => string, columns: number): string {
  if (!reading) return title;
  const room = Math.max(columns - 1, 20);
  const { phase, bytes } = reading;
  if (!bytes) return `${title}  ${phase}  ${formatDuration(Math.floor(reading.phaseSeconds))}`.slice(0, room);
  const numbers = [`${percent(bytes)} %`, ...describeBytes(reading)].join('  ');
  const roomForBar = (words: string): number => room - `${words}  [] ${numbers}`.length;
  const words = [`${title}  ${phase}`, phase].find((beside) => roomForBar(beside) >= NARROWEST_BAR_CELLS);
  if (words === undefined) return `${phase}  ${numbers}`.slice(0, room);
  return `${words}  [${drawBar(Math.min(BAR_CELLS, roomForBar(words)))}] ${numbers}`;
}

function describeBytes({ bytes, bytesPerSecond, secondsLeft }: ProgressReading): string[] {
  if (!bytes) return [];
  return [
    `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`,
    ...(bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(secondsLeft === undefined ? [] : [`${formatDuration(Math.ceil(secondsLeft))} left`]),
  ];
}
