import type { Outcome, SnapshotDriver } from '../interfaces.ts';
import { createOrderedOutcomes } from '../ordered-outcome.ts';

/** Captures nothing and leaves the image holder as it is: for driving a node through the snapshot states without a machine. */
export function createFakeSnapshot(): SnapshotDriver {
  const outcomes = createOrderedOutcomes<'snapshot' | 'continue', Outcome | 'fail'>('fake_snapshot', {
    snapshot: ['wait', 'done', 'fail'],
    continue: ['done', 'wait', 'fail'],
  });
  return {
    name: 'fake',
    properties: {
      fake_snapshot: 'What the fake snapshot (which captures nothing and writes no image) answers, by step: {"snapshot": "wait|done|fail", "continue": "done|wait|fail"}. Optional; by default it waits for a heartbeat and is then done.',
    },
    async validate({ node }) {
      outcomes.validate(node);
    },
    requestChecks: ({ node }) => ({ fake_snapshot: async () => outcomes.validate(node) }),
    async snapshot({ node, log }) {
      log.warn('the snapshot interface "fake" captures nothing: the image holder stays as it is');
      return outcomes.of(node, 'snapshot');
    },
    async continueSnapshot({ node }) {
      return outcomes.of(node, 'continue');
    },
    async poll() {
      return 'continue'; // there is no command whose end could be waited for
    },
    async cleanUp() {}, // nothing was made
  };
}
