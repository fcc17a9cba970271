import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A network between agent and share that can be stopped and cut: TCP in, TCP out, nothing looked at. */
export class TcpRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #allowedBytes = Infinity;
  #passedBytes = 0;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => this.#join(client, connect(targetPort, '127.0.0.1')));
  }

  static async start(targetPort: number): Promise<TcpRelay> {
    const relay = new TcpRelay(targetPort);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Lets this many bytes more pass towards the server; then holds, without closing anything. */
  holdAfter(bytes: number): void {
    this.#allowedBytes = this.#passedBytes + bytes;
  }

  /** Breaks the connections that there are; new ones pass freely. */
  breakConnections(): void {
    this.#allowedBytes = Infinity;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts every connection and takes no more. */
  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy()); // a cut connection is what this relay is for
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    server.pipe(client);
    client.on('data', (chunk) => {
      this.#passedBytes += chunk.length;
      if (!server.write(chunk)) {
        client.pause();
        server.once('drain', () => this.#passedBytes < this.#allowedBytes && client.resume());
      }
      if (this.#passedBytes >= this.#allowedBytes) client.pause();
    });
    client.on('end', () => server.end());
  }
}
