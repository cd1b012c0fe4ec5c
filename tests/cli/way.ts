/** A TCP way to a router that a test can spoil: it passes bytes on, keeps connections open, and hangs up when told. */

type Up = { up: Bun.Socket<undefined> | undefined; readonly waiting: Uint8Array[] };

export class Way implements Disposable {
  readonly ports: number[] = []; // where each connection came from
  readonly #listener: Bun.TCPSocketListener<Up>;

  /** `cut`: asked when the answer arrives; true hangs up instead of passing it on. */
  constructor(to: number, cut: () => boolean = () => false, hostname = "127.0.0.1") {
    this.#listener = Bun.listen<Up>({
      hostname,
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { up: undefined, waiting: [] };
          this.ports.push(socket.remotePort);
          void Bun.connect({
            hostname: "127.0.0.1",
            port: to,
            socket: {
              open(up) {
                socket.data.up = up;
                for (const chunk of socket.data.waiting) up.write(chunk);
              },
              data(_up, chunk) {
                if (cut()) socket.terminate();
                else socket.write(chunk);
              },
            },
          });
        },
        data(socket, chunk) {
          if (socket.data.up === undefined) socket.data.waiting.push(new Uint8Array(chunk));
          else socket.data.up.write(chunk);
        },
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}
