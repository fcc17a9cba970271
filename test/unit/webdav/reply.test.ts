import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { ForbiddenError } from '../../../protocol/errors.ts';
import { limitLingering, sendError } from '../../../webdav/reply.ts';

test('a client that goes on sending after its refusal can read why, and is cut', async () => {
  const server = createServer((request, response) => {
    limitLingering(request, response, 100);
    sendError(response, new ForbiddenError('No more of this.'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const sender = setInterval(() => socket.write(Buffer.alloc(1024)), 5);
  try {
    let answer = '';
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => undefined); // the reset is what is waited for
    socket.write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve)); // events.once would take the reset for a failure
    expect(answer).toMatch(/^HTTP\/1.1 403[^]*No more of this\./);
  } finally {
    clearInterval(sender);
    server.close().closeAllConnections();
  }
});

test('an error that is none of ours says nothing of itself', async () => {
  const server = createServer((_request, response) => sendError(response, new Error('secret path /srv/spool')));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const reply = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(reply.status).toBe(500);
    expect(await reply.text()).toBe('The share failed; its log says why.\n');
  } finally {
    server.close().closeAllConnections();
  }
});
