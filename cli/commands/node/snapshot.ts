import { deadline } from '../../../protocol/deadline.ts';
import { messageOf } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../../protocol/microversion.ts';
import { segment } from '../../api-client.ts';
import { isObject } from '../../api-error.ts';
import { NODE_POSITIONAL, type Command, type CommandContext } from '../../command.ts';
import { CommandFailure, EXIT, UsageError } from '../../exit-code.ts';
import { openProgressDisplay } from '../../progress.ts';
import { formatBytes, formatDuration } from '../../quantities.ts';
import { joinSentences } from '../../sentences.ts';
import { snapshotViewOf } from '../../node-view.ts';
import { WAIT_OPTIONS, readWait, untilState, waitFor, type WaitOutcome, type WaitSettings } from '../../wait.ts';
import { printChecks } from '../checks.ts';
import { targetOf } from './image-choice.ts';
import { SNAPSHOT_OPTIONS, readSnapshotOptions, type SnapshotWish } from './snapshot-options.ts';
import { failureOfWait, goesOn, nodeFacts } from './wait-report.ts';

/** Cleaning up after a refusal must not hang. */
const CLEAN_UP_TIMEOUT_MS = 10_000;

interface Wish {
  ident: string;
  imageRef: string;
  options: SnapshotWish;
}

const request = ({ api }: CommandContext, { ident, imageRef, options }: Wish, dryRun: boolean): Promise<unknown> =>
  api.request('PUT', `/v1/nodes/${segment(ident)}/states/provision`, {
    body: { target: 'snapshot', image_ref: imageRef, ...options, ...(dryRun ? { dry_run: true } : {}) },
    needs: { minor: SNAPSHOT_MICROVERSION, feature: 'a snapshot' },
  });

/** The checks of a dry run. @throws CommandFailure (3) when the snapshot would be refused. */
async function printDryRun(context: CommandContext, wish: Wish): Promise<void> {
  const { ident, imageRef } = wish;
  const reply = await request(context, wish, true);
  const checks = isObject(reply) ? reply.checks : undefined;
  if (!isObject(checks) || Object.keys(checks).length === 0) {
    throw new CommandFailure(EXIT.unavailable, `the service did not answer with the checks of a dry run; see with "baremetal node show ${ident}" whether it began a snapshot`);
  }
  const failed = printChecks(context.output, checks as JsonObject, 'Check');
  if (failed.length > 0) throw new CommandFailure(EXIT.refused, `a snapshot of node ${ident} would be refused now: ${failed.join(', ')}`);
  context.output.say(`a snapshot of node ${ident} into image ${imageRef} could begin now; nothing was touched`);
}

/** What is reported of a snapshot, in every format; values as the service gave them. */
function snapshotFacts(outcome: WaitOutcome, ident: string, imageRef: string): JsonObject {
  const view = viewOfThis(outcome.node, imageRef);
  const { node_uuid, provision_state, last_error } = nodeFacts(outcome);
  return {
    node: ident,
    node_uuid: node_uuid ?? null,
    provision_state: provision_state ?? null,
    image_ref: imageRef,
    snapshot_uuid: view?.uuid ?? null,
    status: view?.status ?? null,
    phase: view?.phase ?? null,
    size_bytes: view?.size_bytes ?? null,
    os_hash_algo: view?.os_hash_algo ?? null,
    os_hash_value: view?.os_hash_value ?? null,
    duration_s: view?.duration_s ?? null,
    downtime_s: view?.downtime_s ?? null,
    method: view?.report?.method ?? null,
    predicted_capture_s: view?.prediction?.duration_s ?? null,
    boot_back: view?.boot_back ?? null,
    last_error: last_error ?? view?.error ?? null,
  };
}

/** The view when it is about our image; a later snapshot of the same node is none of our business. */
function viewOfThis(node: JsonObject | undefined, imageRef: string): ReturnType<typeof snapshotViewOf> {
  const view = node ? snapshotViewOf(node) : undefined;
  return view?.image_ref?.toLowerCase() === imageRef.toLowerCase() ? view : undefined;
}

/** A node that is `active` again proves nothing by itself: the snapshot may have been aborted. */
function failureOfSnapshot(outcome: WaitOutcome, ident: string, imageRef: string): CommandFailure | undefined {
  if (outcome.result === 'timeout') return failureOfWait(outcome, ident, 'active', 'snapshot');
  const view = viewOfThis(outcome.node, imageRef);
  if (outcome.result === 'failed') {
    const failure = failureOfWait(outcome, ident, 'active', 'snapshot');
    if (!view?.boot_back) return failure;
    const server = view.boot_back === 'done' ? 'The server runs from its own disk again' : `The server is not yet back on its own disk (boot_back: ${view.boot_back}); it is tried again`;
    return new CommandFailure(failure.exitCode, joinSentences(failure.message, server));
  }
  if (view?.status === 'done') return undefined;
  const why = view ? `it ended as "${view.status}" in phase "${view.phase}"${view.error ? `: ${view.error}` : ''}` : 'the service says nothing about it';
  return new CommandFailure(EXIT.operationFailed, `node ${ident} is active, but its snapshot into image ${imageRef} is not done: ${why}`);
}

async function waitForSnapshot(context: CommandContext, ident: string, imageRef: string, wait: WaitSettings): Promise<void> {
  const { output } = context;
  const display = openProgressDisplay(output, `snapshot of ${ident}`);
  let outcome: WaitOutcome;
  try {
    outcome = await goesOn(ident, 'snapshot', () => waitFor(context, ident, untilState('active'), wait, (node) => display.show(node)));
  } finally {
    display.close();
  }
  const failure = failureOfSnapshot(outcome, ident, imageRef);
  const facts = snapshotFacts(outcome, ident, imageRef);
  if (output.isJson || !failure) output.record(facts);
  if (failure) throw failure;
  output.say(sentence(ident, imageRef, facts));
}

function sentence(ident: string, imageRef: string, facts: JsonObject): string {
  const size = typeof facts.size_bytes === 'number' ? `, ${formatBytes(facts.size_bytes)}` : '';
  const duration = typeof facts.duration_s === 'number' ? ` in ${formatDuration(facts.duration_s)}` : '';
  const downtime = typeof facts.downtime_s === 'number' ? `; the server was down for ${formatDuration(facts.downtime_s)}` : '';
  return `snapshot of ${ident} done${duration}: image ${imageRef}${size}${downtime}`;
}

export const snapshotNode: Command = {
  words: 'node snapshot',
  summary: 'Take a snapshot of a server into an image',
  positionals: [NODE_POSITIONAL],
  options: {
    image: { kind: 'text', describe: 'Id or name of the precreated image (status queued) that receives the data, or a URL: file:///DIR/NAME.qcow2, https://HOST/NAME.qcow2, s3://BUCKET/KEY.qcow2', names: 'images' },
    'create-image': { kind: 'text', describe: 'Create an image of this name for the data; it is deleted again when the request is refused' },
    'dry-run': { kind: 'flag', describe: 'Check everything that can be known beforehand; touch nothing' },
    ...SNAPSHOT_OPTIONS,
    ...WAIT_OPTIONS,
  },
  conflicts: [
    ['image', 'create-image'],
    ['dry-run', 'wait'],
  ],
  examples: [
    ['node snapshot web-1 --create-image web-1-today --wait', 'Into a new image, with progress, until it is done'],
    ['node snapshot web-1 --image web-1-today --wait 3600 -f json', 'For a script: one JSON object, exit code 0, 1 or 7'],
    ['node snapshot web-1 --image web-1-today --max-downtime 15m --wait', 'Booted back, and failed, as soon as it would take longer'],
    ['node snapshot web-1 --image file:///srv/images/web-1.qcow2 --wait', 'Into a file on the conductor (snapshot.file_roots)'],
    ['node snapshot web-1 --image web-1-today --dry-run', 'Would it be accepted?'],
  ],
  async run(context, args) {
    const { output } = context;
    const ident = args.required('node');
    const created = args.text('create-image') === undefined ? undefined : args.required('create-image');
    const wait = readWait(args);
    const isDryRun = args.flag('dry-run') === true;
    const options = readSnapshotOptions(args);
    if (created === undefined && args.text('image') === undefined) throw new UsageError('--image (an image that is there) or --create-image NAME is missing');
    const imageRef = created === undefined ? await targetOf(context, args.required('image')) : await createHolder(context, created);
    const wish = { ident, imageRef, options };
    const asked = isDryRun ? printDryRun(context, wish) : request(context, wish, false);
    if (created === undefined) await asked;
    else await withdrawIfUnused(context, imageRef, asked, isDryRun);
    if (isDryRun) return;
    if (wait) return waitForSnapshot(context, ident, imageRef, wait);
    if (output.isJson) output.json({ node: ident, target: 'snapshot', image_ref: imageRef, accepted: true });
    output.say(`snapshot of ${ident} into image ${imageRef} begun; see "baremetal node show ${ident}", stop it with "baremetal node abort ${ident}"`);
  },
};

async function createHolder({ images, output }: CommandContext, name: string): Promise<string> {
  const { id } = await images.create({ name, disk_format: 'qcow2', container_format: 'bare' });
  output.say(`created image ${id} (${name})`);
  return id;
}

/** Deletes the image that was made for this snapshot when nothing will be written into it: after a refusal and after a dry run. */
async function withdrawIfUnused({ images, output }: CommandContext, id: string, asked: Promise<unknown>, always: boolean): Promise<void> {
  const remove = async (): Promise<void> => {
    const sentence = await images.delete(id, deadline(CLEAN_UP_TIMEOUT_MS)).then(
      () => `image ${id} was deleted again`,
      (error: unknown) => `image ${id} could not be deleted (${messageOf(error)}): delete it`,
    );
    output.say(sentence);
  };
  try {
    await asked;
  } catch (error) {
    // When the request may have arrived, the image may be in use.
    const isRefusal = error instanceof CommandFailure && error.exitCode !== EXIT.unavailable && error.exitCode !== EXIT.interrupted;
    if (always || isRefusal) await remove();
    throw error;
  }
  if (always) await remove();
}
