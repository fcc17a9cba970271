import { z } from 'zod';
import { BmcError } from './bmc-error.ts';
import { isResourcePath } from './redfish-access.ts';
import { pause, type RedfishOptions, type RedfishReply } from './redfish-exchange.ts';

/** What we need of a Task (Redfish schema Task v1). */
const taskSchema = z.looseObject({
  TaskState: z.string().optional().catch(undefined),
  TaskStatus: z.string().nullish().catch(undefined),
  TaskMonitor: z.string().optional().catch(undefined),
  Messages: z.array(z.looseObject({ Message: z.string().optional().catch(undefined), MessageId: z.string().optional().catch(undefined) })).optional().catch(undefined),
});

const FAILED_STATES: readonly (string | undefined)[] = ['Exception', 'Killed', 'Cancelled', 'Interrupted'];
/** Where a monitor was: it may go once the work is done, or answer with nothing. */
const NO_MONITOR_ANY_MORE: readonly (number | null)[] = [200, 404, 410];

/** Work that a BMC had accepted, and that failed afterwards. */
export class TaskFailedError extends BmcError {}

/**
 * Where the BMC tells how the work goes on that it has accepted with 202 (DSP0266, "Asynchronous operations"); null: it was
 * done at once, or the BMC does not tell.
 */
export function monitorOf({ status, location, body }: RedfishReply, origin: string): string | null {
  if (status !== 202) return null;
  const named = [location, body['TaskMonitor'], body['@odata.id']].flatMap((address) => (typeof address === 'string' && URL.canParse(address, origin) ? [new URL(address, origin)] : []));
  return named.find(({ pathname, search }) => isResourcePath(pathname) && search === '')?.pathname ?? null; // whatever host a BMC behind a gateway believes to have
}

/**
 * Looks at work under way once.
 * @param get asks the BMC for a resource, patiently.
 * @throws TaskFailedError with the BMC's own messages when the work has failed; BmcError when the BMC does not answer.
 */
export async function lookAtTask(monitor: string, origin: string, get: (path: string) => Promise<RedfishReply>): Promise<'under way' | 'done'> {
  let reply: RedfishReply;
  try {
    reply = await get(monitor);
  } catch (error) {
    if (!(error instanceof BmcError) || error.failure.status === null || error.failure.passing) throw error;
    if (NO_MONITOR_ANY_MORE.includes(error.failure.status)) return 'done';
    throw new TaskFailedError(error.message, error.failure); // the monitor answers as the request would have been
  }
  if (reply.status === 202) return 'under way';
  const { TaskState: state, TaskStatus: health, Messages: messages = [] } = taskSchema.parse(reply.body);
  if (FAILED_STATES.includes(state) || (state === 'Completed' && health === 'Critical')) {
    const said = messages.map(({ Message: message, MessageId: id }) => message ?? id).filter((text) => text !== undefined);
    throw new TaskFailedError(`BMC ${origin}: what it had accepted failed (task ${monitor}, ${state}): ${said.join('; ').slice(0, 1_000) || 'the BMC does not say why'}`, { status: null, passing: false, mayHaveActed: false });
  }
  return state === undefined || state === 'Completed' ? 'done' : 'under way';
}

/** Looks until the work is done. @throws as `lookAtTask`, and BmcError when the work takes longer than the options allow. */
export async function awaitTask(monitor: string, origin: string, options: RedfishOptions, get: (path: string) => Promise<RedfishReply>, signal: AbortSignal): Promise<void> {
  const giveUpAt = Date.now() + options.taskTimeoutMs;
  for (let pauseMs = options.firstPollMs; ; pauseMs = Math.min(pauseMs * 1.5, options.maxPollMs)) {
    if ((await lookAtTask(monitor, origin, get)) === 'done') return;
    if (Date.now() > giveUpAt) throw new BmcError(`BMC ${origin}: what it had accepted was not done within ${options.taskTimeoutMs / 1_000} s (task ${monitor})`, { status: null, passing: false, mayHaveActed: true });
    await pause(pauseMs, origin, signal);
  }
}
