import { runProgram, type ProgramResult } from '../../protocol/program.ts';

/** How the programs that look into file systems are run. */
export interface MapTools {
  signal: AbortSignal;
  /** Of each call; one that takes longer is killed, and its part of the disk read in full. */
  timeoutMs: number;
  env: NodeJS.ProcessEnv;
  /** Memory that a program may fill with its map. */
  memoryBytes: number;
}

/** @throws OperationFailedError as runProgram does. */
export const runTool = ({ signal, timeoutMs, env }: MapTools, program: string, args: readonly string[], onOutput?: (text: string) => void): Promise<ProgramResult> =>
  runProgram(program, args, { signal, timeoutMs, env, ...(onOutput && { onOutput }) });
