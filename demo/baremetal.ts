import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { OperationFailedError } from '../protocol/errors.ts';
import type { JsonObject } from '../protocol/json.ts';
import { deadline } from '../protocol/deadline.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';

const PROGRAM = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const TIMEOUT_MS = 10 * 60_000;

/** Our command line, used as a person uses it: with words, and the endpoints in the environment. */
export class Baremetal {
  readonly #env: NodeJS.ProcessEnv;

  constructor(endpoints: { api: string; imageService: string; imageToken?: string; terminal?: string }) {
    const { api, imageService, imageToken, terminal } = endpoints;
    this.#env = { PATH: SYSTEM_PATH, ...(terminal ? { TERM: terminal } : {}), OS_ENDPOINT: api, OS_IMAGE_ENDPOINT: imageService, ...(imageToken ? { OS_TOKEN: imageToken } : {}) };
  }

  /** Runs a command that answers with one JSON object. @throws OperationFailedError with what the command said. */
  async json(words: readonly string[], signal?: AbortSignal): Promise<JsonObject> {
    return parseObject((await this.run([...words, '-f', 'json'], signal)).stdout, words);
  }

  async run(words: readonly string[], signal?: AbortSignal): Promise<{ stdout: string }> {
    return runProgram(process.execPath, [PROGRAM, ...words], { timeoutMs: TIMEOUT_MS, env: this.#env, signal });
  }

  /** The same with its talk (a progress bar) on our own standard error. */
  async jsonWithProgress(words: readonly string[], signal: AbortSignal): Promise<JsonObject> {
    const child = spawn(process.execPath, [PROGRAM, ...words, '-f', 'json'], { env: this.#env, stdio: ['ignore', 'pipe', 'inherit'], signal: deadline(TIMEOUT_MS, signal) });
    const [stdout] = await Promise.all([text(child.stdout), once(child, 'close')]);
    if (child.exitCode !== 0) throw new OperationFailedError(`"baremetal ${words.slice(0, 2).join(' ')}" failed with exit code ${child.exitCode ?? child.signalCode}; it has said why above`);
    return parseObject(stdout, words);
  }
}

function parseObject(stdout: string, words: readonly string[]): JsonObject {
  const value: unknown = JSON.parse(stdout);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new OperationFailedError(`"baremetal ${words.slice(0, 2).join(' ')}" was expected to print one JSON object, found ${stdout.slice(0, 200)}`);
  return value as JsonObject;
}
