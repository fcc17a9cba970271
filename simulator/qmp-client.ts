import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { OperationFailedError } from '../protocol/errors.ts';

const REPLY_TIMEOUT_MS = 30_000;

export interface QmpEvent {
  event: string;
  data?: Readonly<Record<string, unknown>>;
}
interface QmpReply {
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
}
interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** QEMU's machine protocol on a connection that QEMU was started with (QEMU's documentation, "QEMU Machine Protocol Specification"). */
export class QmpClient {
  readonly #connection: Duplex;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #closed = false;

  constructor(connection: Duplex, onEvent: (event: QmpEvent) => void) {
    this.#connection = connection;
    this.#onEvent = onEvent;
    connection.on('error', () => this.#close()); // QEMU was killed; its end is seen by its process
    connection.on('close', () => this.#close());
    createInterface({ input: connection }).on('line', (line) => this.#take(line)).on('error', () => undefined); // the same error once more
  }

  /** @throws OperationFailedError with QEMU's own words, or when it has ended or does not answer. */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#closed) return Promise.reject(new OperationFailedError(`QEMU has ended and takes no command ${command}`));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id)?.reject(new OperationFailedError(`QEMU has not answered ${command} within ${REPLY_TIMEOUT_MS / 1_000} s`)), REPLY_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#connection.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  #take(line: string): void {
    const message = JSON.parse(line) as Partial<QmpEvent> & QmpReply; // every line of QEMU is one document
    if (message.event !== undefined) this.#onEvent(message as QmpEvent);
    else if (message.id !== undefined && message.error) this.#settle(message.id)?.reject(new OperationFailedError(`QEMU refuses: ${message.error.desc}`));
    else if (message.id !== undefined) this.#settle(message.id)?.resolve(message.return);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #close(): void {
    this.#closed = true;
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(new OperationFailedError('QEMU has ended before it answered'));
  }
}
