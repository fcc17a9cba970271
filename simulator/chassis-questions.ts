import { constants, openSync } from 'node:fs';
import { open, writeFile, type FileHandle } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { runProgram } from '../protocol/program.ts';

/**
 * What ipmi_sim runs for every question and order, as `… get power`: it hands on the line and waits for the answer that has its
 * number. A shell with two pipes takes 3 ms; nothing of the machine's account is in it.
 */
const SCRIPT = `#!/bin/sh
cd "\${0%/*}" || exit 1
printf '%s %s\\n' "$$" "$*" > questions
while read -r number result text; do
  [ "$number" != "$$" ] || break
done < answers
[ "$result" = done ] || exit 1
[ -z "$text" ] || printf '%s\\n' "$text"
`;
const MKFIFO_TIMEOUT_MS = 10_000;

/** @returns the text that ipmi_sim reads, if any. A rejection: ipmi_sim tells its client that it failed. */
export type AnswerChassis = (question: readonly string[]) => Promise<string>;

/** The place where questions of an ipmi_sim about its chassis arrive and are answered, one at a time as it asks them. */
export class ChassisQuestions {
  /** The program for ipmi_sim's `chassis_control`. */
  readonly program: string;
  readonly #answers: FileHandle;
  readonly #questions: Socket;
  readonly #lines: Interface;
  readonly #ended: Promise<void>;

  private constructor(program: string, answers: FileHandle, questions: Socket, answer: AnswerChassis) {
    this.program = program;
    this.#answers = answers;
    this.#questions = questions;
    this.#lines = createInterface({ input: questions });
    this.#ended = this.#serve(answer);
  }

  /** @param directory an empty one of ours, where it makes what it needs. */
  static async open(directory: string, answer: AnswerChassis): Promise<ChassisQuestions> {
    const program = join(directory, 'chassis-control');
    await writeFile(program, SCRIPT, { mode: 0o700 });
    await runProgram('mkfifo', ['-m', '600', join(directory, 'questions'), join(directory, 'answers')], { timeoutMs: MKFIFO_TIMEOUT_MS });
    // open for both directions, a pipe neither waits for its other end nor ends with it; a socket reads it without taking a thread
    const flags = constants.O_RDWR | constants.O_NONBLOCK;
    const answers = await open(join(directory, 'answers'), flags);
    const questions = new Socket({ fd: openSync(join(directory, 'questions'), flags), readable: true, writable: false }); // the socket closes it
    return new ChassisQuestions(program, answers, questions, answer);
  }

  /** Whoever still waits for an answer is told that it failed. */
  async close(): Promise<void> {
    this.#lines.close(); // a socket that is destroyed would not end the lines
    this.#questions.destroy();
    await this.#ended;
    await this.#answers.close();
  }

  async #serve(answer: AnswerChassis): Promise<void> {
    for await (const line of this.#lines) {
      const [number, , ...question] = line.split(' '); // the second is the address of the management controller
      const reply = await answer(question).then(
        (text) => `done ${text}`,
        () => 'failed', // the answering side logs why; IPMI has no words for it
      );
      await this.#answers.write(`${number} ${reply}\n`);
    }
  }
}
