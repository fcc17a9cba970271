import { createHash } from 'node:crypto';
import { TemporarilyUnavailableError } from '../../protocol/errors.ts';
import type { KeystoneToken } from '../../protocol/keystone.ts';

/** Asks Keystone about a token; null: it is none, or not any more. */
export type InspectToken = (token: string) => Promise<KeystoneToken | null>;

interface Entry {
  answer: KeystoneToken;
  until: number;
}

const MAX_ENTRIES = 1_000;
/** Anybody can send tokens that mean nothing: neither Keystone nor this process is to drown in them. */
const MAX_QUESTIONS = 16;
const MAX_WAITING = 1_000;

/** What Keystone said of good tokens a short while ago, by their hash; others leave no trace. Requests at once with one token share one question. */
export class KeystoneTokenCache {
  readonly #inspect: InspectToken;
  readonly #keepMs: number;
  readonly #entries = new Map<string, Entry>();
  /** By the same hash, until they are answered. */
  readonly #questions = new Map<string, Promise<KeystoneToken | null>>();
  #asking = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(inspect: InspectToken, keepMs: number) {
    this.#inspect = inspect;
    this.#keepMs = keepMs;
  }

  /** As `InspectToken`, never older than the time to keep, nor than the token's end. @throws TemporarilyUnavailableError when too many others wait for an answer. */
  async look(token: string): Promise<KeystoneToken | null> {
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#entries.get(key);
    if (known && Date.now() < known.until) return known.answer;
    const asked = this.#questions.get(key);
    if (asked) return asked;
    if (this.#waiting.length >= MAX_WAITING) throw new TemporarilyUnavailableError(`${MAX_WAITING} tokens wait already for what Keystone says of them`);
    const question = this.#ask(key, token).finally(() => this.#questions.delete(key));
    this.#questions.set(key, question);
    return question;
  }

  async #ask(key: string, token: string): Promise<KeystoneToken | null> {
    await this.#turn();
    try {
      const until = Date.now() + this.#keepMs;
      const answer = await this.#inspect(token);
      this.#entries.delete(key); // a new entry goes to the end
      if (answer) this.#keep(key, { answer, until: Math.min(until, Date.parse(answer.expires_at)) });
      return answer;
    } finally {
      const next = this.#waiting.shift();
      if (next) next(); // the turn is handed on
      else this.#asking -= 1;
    }
  }

  /** Resolves when this question may be asked. */
  async #turn(): Promise<void> {
    if (this.#asking >= MAX_QUESTIONS) return new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#asking += 1;
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
  }
}
