import { Agent, request as httpRequest } from 'node:http';

const TIMEOUT_MS = 15_000;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

export interface HostileRequest {
  method: string;
  /** As it goes over the wire: nothing is encoded any more. */
  path: string;
  headers: Record<string, string | string[]>;
  body?: Buffer;
}
export interface WireReply {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

/** Sends exactly these bytes: an HTTP client of comfort would mend the path or refuse the request itself. */
export function send(base: string, { method, path, headers, body }: HostileRequest): Promise<WireReply> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers: { ...headers, ...(body === undefined ? {} : { 'Content-Length': String(body.length) }) }, agent, timeout: TIMEOUT_MS }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('error', reject);
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text: Buffer.concat(chunks).toString('utf8') }));
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${TIMEOUT_MS} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Lets the kept connections go. */
export const hangUp = (): void => agent.destroy();
