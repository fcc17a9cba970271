#!/usr/bin/env node
/** `single-stage.mjs digest ALGORITHM BYTES | tcp PORT BYTES`: one stage of a stream with nothing around it; prints wall and CPU seconds as JSON. */
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

const PIECE = randomFillSync(Buffer.allocUnsafeSlow(1024 ** 2));

const STAGES = {
  async digest(algorithm, sizeBytes) {
    const digest = createHash(algorithm);
    for (let done = 0; done < sizeBytes; done += PIECE.length) digest.update(PIECE);
    digest.digest();
  },
  /** Until the other end has taken everything. */
  async tcp(port, sizeBytes) {
    const socket = connect({ host: '127.0.0.1', port: Number(port) }).resume();
    const ended = once(socket, 'end');
    for (let done = 0; done < sizeBytes; done += PIECE.length) {
      if (!socket.write(PIECE)) await once(socket, 'drain');
    }
    socket.end();
    await ended;
  },
};

const [stage, subject, sizeBytes] = process.argv.slice(2);
const [before, startedAt] = [process.cpuUsage(), performance.now()];
await STAGES[stage](subject, Number(sizeBytes));
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${JSON.stringify({ wallS: (performance.now() - startedAt) / 1000, cpuS: (user + system) / 1e6 })}\n`);
