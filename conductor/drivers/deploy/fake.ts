import { InvalidParameterError } from '../../../protocol/errors.ts';
import type { DeployDriver } from '../deployment.ts';
import type { Outcome } from '../interfaces.ts';
import { createOrderedOutcomes } from '../ordered-outcome.ts';

const OUTCOMES = ['done', 'wait', 'fail'] as const;
/** The steps that Ironic's fake deployment offers too, and what the real one knows. */
const CLEAN_STEPS = ['deploy.erase_devices', 'deploy.erase_devices_metadata'] as const;

/** Writes to no disk and erases none: for trying out the API, and for driving a node through every state. */
export function createFakeDeploy(): DeployDriver {
  const outcomes = createOrderedOutcomes<'deploy' | 'continue' | 'tear_down' | 'clean' | 'continue_clean', Outcome | 'fail'>('fake_deploy', {
    deploy: OUTCOMES,
    continue: OUTCOMES,
    tear_down: ['done', 'fail'],
    clean: OUTCOMES,
    continue_clean: OUTCOMES,
  });
  return {
    name: 'fake',
    properties: {
      fake_deploy:
        'What the fake deployment (which touches no disk) answers, by step: {"deploy": "done|wait|fail", "continue": "done|wait|fail", "tear_down": "done|fail", "clean": "done|wait|fail", "continue_clean": "done|wait|fail"}. Optional; each is "done" by default.',
    },
    cleanSteps: CLEAN_STEPS,
    async validate({ node }) {
      outcomes.validate(node);
    },
    async describeImage() {
      return null;
    },
    async deploy({ node }) {
      return outcomes.of(node, 'deploy');
    },
    async continueDeploy({ node }) {
      return outcomes.of(node, 'continue');
    },
    async poll() {
      return 'continue'; // there is no command whose end could be waited for
    },
    async cleanUp() {}, // nothing was made
    async tearDown({ node }) {
      outcomes.of(node, 'tear_down');
    },
    async clean({ node }, steps) {
      for (const { interface: kind, step } of steps ?? []) {
        if (!(CLEAN_STEPS as readonly string[]).includes(`${kind}.${step}`)) throw new InvalidParameterError(`node does not support this clean step: {'interface': '${kind}', 'step': '${step}'}; known are ${CLEAN_STEPS.join(', ')}`);
      }
      return outcomes.of(node, 'clean');
    },
    async continueClean({ node }) {
      return outcomes.of(node, 'continue_clean');
    },
  };
}
