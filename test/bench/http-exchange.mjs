import { Agent, request } from 'node:http';

const TIMEOUT_MS = 60_000;

/**
 * JSON over kept-alive connections. Plain node:http instead of protocol/http-client: a client that takes more CPU than the
 * server that is measured would set the pace.
 */
export class HttpExchange {
  #agent = new Agent({ keepAlive: true });
  #url;

  constructor(url) {
    this.#url = url;
  }

  /** @param minor of the microversion. Resolves to the status and the body, decoded when it is JSON (undefined when it is empty). */
  async call(method, path, { minor = 78, body } = {}) {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      Accept: 'application/json',
      'X-OpenStack-Ironic-API-Version': `1.${minor}`,
      ...(payload === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': payload.length }),
    };
    const answer = await new Promise((resolve, reject) => {
      const sent = request(new URL(path, this.#url), { method, headers, agent: this.#agent, timeout: TIMEOUT_MS }, (reply) => {
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => resolve({ status: reply.statusCode, type: reply.headers['content-type'] ?? '', text: Buffer.concat(chunks).toString('utf8') }));
      });
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${TIMEOUT_MS} ms`)));
      // a server may close a connection that was idle just as it is used again
      sent.on('error', (error) => (sent.reusedSocket && error.code === 'ECONNRESET' ? resolve(null) : reject(error)));
      sent.end(payload);
    });
    if (answer === null) return this.call(method, path, { minor, body });
    const { status, type, text } = answer;
    return { status, body: type.startsWith('application/json') && text !== '' ? JSON.parse(text) : text || undefined };
  }

  /** A call that must be answered so: a benchmark of refusals would be a fast one. */
  async expect(status, method, path, options) {
    const reply = await this.call(method, path, options);
    if (reply.status !== status) throw new Error(`${this.#url} ${method} ${path}: expected ${status}, found ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }

  close() {
    this.#agent.destroy();
  }
}

/** Carries out `work` for 0 to `count` - 1, at most `concurrency` at once. */
export async function inParallel(count, concurrency, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
}
