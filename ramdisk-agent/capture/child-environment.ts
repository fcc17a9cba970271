import { SYSTEM_PATH } from '../../protocol/program.ts';

/**
 * The environment of every program that the agent runs: messages in English for parsing, no proxy (mount.davfs would take
 * one from the environment), nothing else of ours.
 */
export const CHILD_ENVIRONMENT: NodeJS.ProcessEnv = { PATH: SYSTEM_PATH, LC_ALL: 'C' };
