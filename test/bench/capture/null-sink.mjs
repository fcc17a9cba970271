#!/usr/bin/env node
/** Takes what the benchmark sends, and neither keeps nor proves anything of it: images and link probes by http, anything by TCP. Prints its ports, ends on SIGTERM. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const http = createHttpServer((request, response) => {
  request.resume();
  request.once('end', () => {
    response.writeHead(request.headers['x-metalshot-link-probe'] === undefined ? 201 : 204).end();
  });
});
const tcp = createServer({ allowHalfOpen: true }, (socket) => {
  socket.resume();
  socket.once('end', () => socket.end());
});
http.listen(0, '127.0.0.1');
tcp.listen(0, '127.0.0.1');
await Promise.all([once(http, 'listening'), once(tcp, 'listening')]);
process.stdout.write(`${JSON.stringify({ http: http.address().port, tcp: tcp.address().port })}\n`);
