import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 30_000;

/** A long-lived program that prints lines of JSON; it dies with the benchmark, whatever happens. */
export class Program {
  #child;
  #ended;
  #listeners = new Set();
  #log;
  #name;

  constructor(name, [command, ...args], { logFile, env = {} }) {
    this.#name = name;
    this.#log = createWriteStream(logFile, { mode: 0o600 });
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args], { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = new Promise((resolve, reject) => this.#child.once('close', resolve).once('error', reject));
    this.#ended.catch(() => undefined); // told by whoever waits for a line
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (text) => {
        this.#log.write(`${text}\n`);
        const line = parse(text);
        for (const listener of this.#listeners) listener(line);
      });
    }
  }

  get pid() {
    return this.#child.pid;
  }

  /** @returns what ends the listening. */
  onLine(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first line from now on that matches. @throws Error when the program ends before, or the time is over. */
  async line(matches, timeoutMs = READY_TIMEOUT_MS) {
    let timer;
    let forget = () => undefined;
    const found = new Promise((resolve) => (forget = this.onLine((line) => matches(line) && resolve(line))));
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${this.#name} has not said what was waited for within ${timeoutMs / 1000} s; see ${this.#log.path}`)), timeoutMs)));
    const ended = this.#ended.then(() => Promise.reject(new Error(`${this.#name} has ended; see ${this.#log.path}`)));
    ended.catch(() => undefined); // it ends some time
    try {
      return await Promise.race([found, ended, late]);
    } finally {
      clearTimeout(timer);
      forget();
    }
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    this.#log.end();
  }
}

function parse(text) {
  if (!text.startsWith('{')) return {};
  try {
    return JSON.parse(text);
  } catch {
    return {}; // a line of talk that begins with a brace
  }
}
