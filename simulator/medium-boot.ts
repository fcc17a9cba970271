import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';
import { KERNEL_PARAMETERS } from '../protocol/ramdisk-boot.ts';

const READ_TIMEOUT_MS = 60_000;

/**
 * The nonce that an ISO's boot loader would give its kernel.
 * @throws OperationFailedError when the ISO boots no kernel of ours, like any other that a machine cannot boot.
 */
export async function readBootNonce(iso: string, directory: string): Promise<string> {
  const file = join(directory, 'grub.cfg');
  await rm(file, { force: true });
  await runProgram('xorriso', ['-osirrox', 'on', '-indev', iso, '-extract', '/boot/grub/grub.cfg', file], { timeoutMs: READ_TIMEOUT_MS, env: { PATH: SYSTEM_PATH, LANG: 'C.UTF-8' } });
  const line = (await readFile(file, 'utf8')).split('\n').find((text) => /^\s*(if )?linux /.test(text)) ?? '';
  const [, nonce] = new RegExp(`'${KERNEL_PARAMETERS.bootNonce}=([^']+)'`).exec(line) ?? [];
  if (nonce === undefined) throw new OperationFailedError(`The ISO in the virtual CD drive starts no kernel with ${KERNEL_PARAMETERS.bootNonce}, which a simulated machine expects of it`);
  return nonce;
}
