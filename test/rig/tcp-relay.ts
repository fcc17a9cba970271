import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A wire between two programs that a test can cut, mend and make slow: the real part where network faults happen. */
export class TcpRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #paused = false;
  #holdRepliesAfterBytes = Infinity;
  /** Bytes that went towards the target since the start. */
  forwardedBytes = 0;
  /** Bytes that came back from the target since the start. */
  returnedBytes = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(target: { host?: string; port: number }): Promise<TcpRelay> {
    const server = createServer({ pauseOnConnect: true });
    const relay = new TcpRelay(server);
    server.on('connection', (client) => relay.#join(client, target));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Every connection ends at once, new ones are refused, until `mend`. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#cut = false;
    this.resume();
  }

  /** Data towards the target stands still, connections stay open. */
  pause(): void {
    this.#paused = true;
  }

  /** Replies stand still once so many more bytes of them have passed, connections stay open. */
  holdReplies(afterBytes: number): void {
    this.#holdRepliesAfterBytes = this.returnedBytes + afterBytes;
  }

  resume(): void {
    this.#paused = false;
    this.#holdRepliesAfterBytes = Infinity;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  get #repliesHeld(): boolean {
    return this.returnedBytes > this.#holdRepliesAfterBytes;
  }

  #join(client: Socket, target: { host?: string; port: number }): void {
    if (this.#cut) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(target.port, target.host ?? '127.0.0.1');
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.on('error', () => other.destroy()); // a cut connection is what this relay is for
    }
    server.on('data', (data: Buffer) => {
      this.returnedBytes += data.length;
      if (!client.write(data) || this.#repliesHeld) server.pause();
    });
    client.on('drain', () => {
      if (!this.#repliesHeld) server.resume();
    });
    client.on('data', (data: Buffer) => {
      this.forwardedBytes += data.length;
      if (!server.write(data) || this.#paused) client.pause();
    });
    server.on('drain', () => {
      if (!this.#paused) client.resume();
    });
    client.on('end', () => server.end());
    server.on('end', () => client.end());
    client.resume();
  }
}
