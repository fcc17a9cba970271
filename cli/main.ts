#!/usr/bin/env node
/** The command `baremetal`. The only file of cli/ that reads the process's arguments, environment and streams. */
import { run } from './run.ts';

/** What a shell reports for a program that writes into a pipe nobody reads. */
const BROKEN_PIPE = 141;

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort()); // once: a second Ctrl-C ends the process at once
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? BROKEN_PIPE : 1));
process.exitCode = await run(process.argv.slice(2), process.env, process, interrupt.signal);
