import { deadline } from '../../protocol/deadline.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { AgentClient, DriverTask } from './interfaces.ts';

const AGENT_STOP_TIMEOUT_MS = 30_000;

/**
 * Stops the agent's command, if there is one and a ramdisk that could still run it. A dead agent can not be stopped:
 * switching the machine off ends its command for certain. @returns whether the agent let go of it.
 */
export async function stopCommand(task: DriverTask & { readonly agent: AgentClient }, commandId: string | null): Promise<boolean> {
  if (commandId === null || task.node.agentUrl === null || task.node.powerOffDue !== 'ramdisk') return false;
  try {
    await task.agent.stop(task.node, commandId, deadline(AGENT_STOP_TIMEOUT_MS, task.signal));
    return true;
  } catch (error) {
    task.log.info({ error: messageOf(error) }, 'agent did not stop its command'); // told by the return value
    return false;
  }
}
