import { InvalidParameterError, OperationFailedError } from '../../../protocol/errors.ts';
import { ERASE_METADATA_COMMAND } from '../../../protocol/deploy-commands.ts';
import { stopCommand } from '../agent-stop.ts';
import { CleanUp } from '../clean-up.ts';
import type { CleanStep, DeployDriver, DeployImages, OperationStep, OperationTask } from '../deployment.ts';
import { requirePorts } from '../required-ports.ts';
import { learnFromAgent, pollCommand } from './agent-report.ts';
import { cleaningPhases, deploymentPhases } from './direct-phases.ts';

const CLEAN_STEPS: readonly string[] = [ERASE_METADATA_COMMAND];

/**
 * Ironic's `direct` implementation: the ramdisk agent writes the image to the node's disk, from the conductor, which has
 * fetched and proven it before the server is touched. Cleaning wipes partition tables and signatures the same way.
 */
export function createDirectDeploy(images: DeployImages): DeployDriver {
  return {
    name: 'direct',
    properties: {},
    cleanSteps: CLEAN_STEPS,
    validate: requirePorts,
    async describeImage(task, source, forProject) {
      if (source === null) throw new InvalidParameterError(`Node ${task.node.uuid} names no image to deploy: set instance_info image_source to the UUID of an image or to a URL, for example: baremetal node set ${task.node.uuid} --instance-info image_source=IMAGE`);
      return images.describe(source, task.signal, forProject);
    },
    deploy: (task) => task.runPhases(phasesFrom(task, deploymentPhases(task.limits, images), 'fetch image')),
    continueDeploy: (task) => task.runPhases(remaining(task, deploymentPhases(task.limits, images), 'boot from disk')),
    async clean(task, steps) {
      refuseUnknown(steps ?? []);
      return task.runPhases(phasesFrom(task, cleaningPhases(task.limits), 'quiesce'));
    },
    continueClean: (task) => task.runPhases(remaining(task, cleaningPhases(task.limits), 'power off')),
    poll: pollCommand,
    cleanUp: (task) => cleanUp(task, images),
    async tearDown() {}, // the workflow switches the server off; its disk is the cleaning's
  };
}

function refuseUnknown(steps: readonly CleanStep[]): void {
  const unknown = steps.map((step) => `${step.interface}.${step.step}`).filter((name) => !CLEAN_STEPS.includes(name));
  if (unknown.length > 0) throw new InvalidParameterError(`Clean steps ${unknown.join(', ')} are not known to the deploy interface "direct"; it knows ${CLEAN_STEPS.join(', ')}`);
}

/** From the stored phase on: a phase that was begun and not ended is done again. With the command's report there is nothing more to wait for. */
function remaining(task: OperationTask, phases: readonly OperationStep[], last: OperationStep['name']): OperationStep[] {
  const { phase, report } = task.operation;
  if (phase === 'await ramdisk') return phasesFrom(task, phases, 'boot device back');
  if (phase === 'running') return phasesFrom(task, phases, report === null ? 'running' : last);
  if (phase === last) return phasesFrom(task, phases, last);
  throw new OperationFailedError(`The operation can not go on from its phase "${phase}"`);
}

function phasesFrom(task: OperationTask, phases: readonly OperationStep[], name: OperationStep['name']): OperationStep[] {
  const at = phases.findIndex((phase) => phase.name === name);
  if (at < 0) throw new OperationFailedError(`A ${task.operation.kind} has no phase "${name}"`);
  return phases.slice(at);
}

async function cleanUp(task: OperationTask, images: DeployImages): Promise<void> {
  const parts = new CleanUp(task.log);
  await parts.attempt('revoke the credential', () => task.saveOperation({ credentialHash: null }));
  if (await stopCommand(task, task.operation.commandId)) await learnFromAgent(task);
  await parts.attempt('remove the fetched image', () => images.remove(task.operation.uuid));
  parts.finish();
}
