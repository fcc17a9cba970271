import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';

/** The local address from which this machine reaches the conductor: what a UDP socket gets when it is connected. Nothing is sent. */
export async function findLocalAddress(apiUrl: string): Promise<string> {
  const url = new URL(apiUrl);
  const { address, family } = await lookup(url.hostname.replace(/^\[|\]$/g, ''));
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  try {
    socket.connect(Number(url.port || (url.protocol === 'https:' ? 443 : 80)), address);
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}
