/** What the process ends with, for scripts. The numbers are a promise: docs/cli.md and the help show the same list. */
export const EXIT = {
  ok: 0,
  operationFailed: 1,
  usage: 2,
  refused: 3,
  notFound: 4,
  conflict: 5,
  unavailable: 6,
  waitTimeout: 7,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODE_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  operationFailed: 'the operation was started and failed',
  usage: 'the command line is not understood; nothing was sent',
  refused: 'refused by the service (a wrong state or argument; too old for it)',
  notFound: 'no such node, port, volume, image, driver or conductor',
  conflict: 'locked, busy or taken, still so after all retries (409)',
  unavailable: 'endpoint not reached, answers 5xx, or is another service',
  waitTimeout: 'the time given with --wait is over; the operation goes on',
  interrupted: 'interrupted; an operation that was started goes on',
};

/** A command that cannot go on: the message for the person, the code for the script. Shown without a stack trace. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong. */
export class UsageError extends CommandFailure {
  constructor(message: string) {
    super(EXIT.usage, message);
  }
}

/** The person pressed Ctrl-C. */
export class InterruptedError extends CommandFailure {
  constructor(message = 'interrupted') {
    super(EXIT.interrupted, message);
  }
}
