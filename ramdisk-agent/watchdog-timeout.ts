import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { OperationFailedError } from '../protocol/errors.ts';
import { CHILD_ENVIRONMENT } from './capture/child-environment.ts';

const PATIENCE_MS = 5_000;
const POLL_MS = 50;

/**
 * Sets a watchdog's timeout. That takes an ioctl, which Node has not: busybox's watchdog(8) does it when it opens the device;
 * on SIGTERM it switches the device off again, and the driver keeps the timeout.
 * @param readTimeoutS what the driver says of itself. @throws OperationFailedError when it does not become what is wanted.
 */
export async function setWatchdogTimeout(device: string, timeoutS: number, readTimeoutS: () => number | null): Promise<void> {
  if (readTimeoutS() === timeoutS) return;
  const child = spawn('busybox', ['watchdog', '-F', '-T', String(timeoutS), '-t', '1', device], { env: CHILD_ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  let running = true;
  const ended = once(child, 'close')
    .catch((error: unknown) => void (said += String(error))) // not started: told below
    .finally(() => (running = false));
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (running && readTimeoutS() !== timeoutS && performance.now() < giveUpAt) await sleep(POLL_MS);
  child.kill('SIGTERM');
  await Promise.race([ended, sleep(PATIENCE_MS, undefined, { ref: false })]); // a driver may hold it for ever
  if (readTimeoutS() !== timeoutS) throw new OperationFailedError(`expected a timeout of ${timeoutS} s, found ${readTimeoutS() ?? 'none'}${said.trim() ? `: ${said.trim()}` : ''}`, { device });
}
