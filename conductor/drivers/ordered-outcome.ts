import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import type { NodeRow } from '../db/rows.ts';

/** What a fake does may be ordered by step in `driver_info`: `{"fake_deploy": {"clean": "wait"}}`. */
export interface OrderedOutcomes<Step extends string, Result extends string> {
  /** The result that is ordered for the step, or its default. @throws OperationFailedError when a failure is ordered. */
  of(node: Readonly<NodeRow>, step: Step): Exclude<Result, 'fail'>;
  /** @throws InvalidParameterError for a form, step or result that does not exist. */
  validate(node: Readonly<NodeRow>): void;
}

/** @param steps for each step its possible results, the default first. */
export function createOrderedOutcomes<Step extends string, Result extends string>(property: string, steps: Readonly<Record<Step, readonly Result[]>>): OrderedOutcomes<Step, Result> {
  const ordered = (node: Readonly<NodeRow>): Record<string, unknown> => {
    const orders = node.driverInfo[property] ?? {};
    if (typeof orders !== 'object' || Array.isArray(orders)) throw new InvalidParameterError(`driver_info.${property}: expected an object with a result by step, found ${JSON.stringify(orders)}`);
    return orders;
  };
  const check = (step: string, result: unknown): Result => {
    const results = Object.hasOwn(steps, step) ? steps[step as Step] : undefined;
    if (!results) throw new InvalidParameterError(`driver_info.${property}: "${step}" is not a step; known are ${Object.keys(steps).join(', ')}`);
    const known = results.find((candidate) => candidate === result);
    if (known === undefined) throw new InvalidParameterError(`driver_info.${property}.${step}: expected ${results.join(' or ')}, found ${JSON.stringify(result)}`);
    return known;
  };
  return {
    of(node, step) {
      const result = check(step, ordered(node)[step] ?? steps[step][0]);
      if (result === 'fail') throw new OperationFailedError(`${step} failed, as driver_info.${property} orders`);
      return result as Exclude<Result, 'fail'>;
    },
    validate(node) {
      for (const [step, result] of Object.entries(ordered(node))) check(step, result);
    },
  };
}
