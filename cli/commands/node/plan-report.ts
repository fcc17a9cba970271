import type { Plan, PlanResult } from '../../../protocol/plan.ts';
import { isObject } from '../../api-error.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';
import { describeDisk } from '../../node-view.ts';
import type { Output } from '../../output.ts';
import { formatBytes } from '../../quantities.ts';

const LABELS = { name: 'Check' };
const RESULTS: readonly PlanResult[] = ['pass', 'warn', 'fail'];
const isResult = (value: unknown): boolean => RESULTS.some((result) => result === value);

/** The plan in the answer to a dry run. @throws CommandFailure (6) when there is none: the service may have begun the work then. */
export function planIn(reply: unknown, ident: string): Plan {
  const plan = isObject(reply) ? reply.plan : undefined;
  const checks = isObject(plan) ? plan.checks : undefined;
  const isPlan = isObject(plan) && isResult(plan.result) && isObject(plan.image) && Array.isArray(checks) && checks.length > 0 && checks.every((check) => isObject(check) && isResult(check.result));
  if (!isPlan) throw new CommandFailure(EXIT.unavailable, `the service did not answer with a plan; see with "baremetal node show ${ident}" whether it began the work`);
  return plan as unknown as Plan;
}

/** Prints what would happen. @throws CommandFailure (3) when the real request would be refused. */
export function printPlan(output: Output, plan: Plan, ident: string, word: string): void {
  if (output.isJson) output.json(plan);
  else {
    output.say(sentenceOf(plan, ident, word));
    printChecks(output, plan.checks);
  }
  const failed = plan.checks.filter(({ result }) => result === 'fail').map(({ name, message }) => `${name}: ${message}`);
  if (plan.result === 'fail' || failed.length > 0) throw new CommandFailure(EXIT.refused, `the ${word} of node ${ident} would be refused: ${failed.join(' ') || 'the plan fails as a whole'}`);
  const warned = plan.checks.filter(({ result }) => result === 'warn').map(({ name }) => name);
  output.say(`the ${word} of node ${ident} could begin now${warned.length === 0 ? '' : `, with warnings: ${warned.join(', ')}`}; nothing was touched`);
}

/** On a terminal, where five columns are too many to read, what is needed and found stands below the message of what does not pass. */
function printChecks(output: Output, checks: Plan['checks']): void {
  const { width, columns } = output.settings;
  if (width === undefined || columns.length > 0) {
    output.rows(checks.map((check) => ({ ...check })), ['name', 'result', 'expected', 'found', 'message'], LABELS);
    return;
  }
  output.rows(checks.map(({ name, result, expected, found, message }) => {
    const facts = [expected === null ? [] : `needed: ${expected}`, found === null ? [] : `found: ${found}`].flat();
    return { name, result, message: [message, ...(result === 'pass' ? [] : facts)].join('\n') };
  }), ['name', 'result', 'message'], LABELS);
}

function sentenceOf({ image, target_disk: disk, generalize }: Plan, ident: string, word: string): string {
  if (disk === null && image.source === 'none') return `${word} of ${ident} would write no image to a disk`;
  const sizes = [
    image.disk_format,
    typeof image.size_bytes === 'number' ? formatBytes(image.size_bytes) : undefined,
    typeof image.virtual_size_bytes === 'number' ? `${formatBytes(image.virtual_size_bytes)} on the disk` : undefined,
  ].filter((fact) => fact !== undefined && fact !== null);
  const target = disk === null ? 'its disk (which one is not known before the ramdisk has looked)' : describeDisk({ ...disk });
  return `${word} of ${ident} would overwrite ${target} with ${image.name ?? image.source} (${sizes.join(', ')})${generalize ? ', and make it a machine of its own' : ''}`;
}
