#!/usr/bin/env node
/** `single-stage.mjs digest ALGORITHM BYTES | mac DIST BYTES | tcp PORT BYTES`: one stage of a stream with nothing around it; prints wall and CPU seconds as JSON. */
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const PIECE = randomFillSync(Buffer.allocUnsafeSlow(1024 ** 2));

const STAGES = {
  async digest(algorithm, sizeBytes) {
    const digest = createHash(algorithm);
    for (let done = 0; done < sizeBytes; done += PIECE.length) digest.update(PIECE);
    digest.digest();
  },
  async mac(dist, sizeBytes) {
    const { newMacKey, StreamMac } = await import(pathToFileURL(join(dist, 'protocol/stream-mac.js')).href);
    const mac = new StreamMac(newMacKey());
    for (let done = 0; done < sizeBytes; done += PIECE.length) mac.update(PIECE);
    mac.result();
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
