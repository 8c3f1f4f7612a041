import { createServer, connect, type Socket } from "node:net";

/** A TCP relay whose traffic a test can hold back or cut. */
export interface TcpFaultProxy {
  readonly port: number;
  /** From now on what clients send is kept, and delivered at `release`. */
  hold(): void;
  release(): void;
  /** From now on what the server answers is dropped, and the connections are cut at `cut`. */
  swallowAnswers(): void;
  /** Cuts all connections, in the middle of whatever they do. */
  cut(): void;
  stop(): Promise<void>;
}

export async function startTcpFaultProxy(target: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpFaultProxy> {
  const sockets = new Set<Socket>();
  const kept: { readonly to: Socket; readonly bytes: Buffer }[] = [];
  let holding = false;
  let swallowing = false;
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (bytes) => {
      if (holding) kept.push({ to: upstream, bytes: Buffer.from(bytes) });
      else upstream.write(bytes);
    });
    upstream.on("data", (bytes) => {
      if (!swallowing) client.write(bytes);
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address.port);
      else reject(new Error("the proxy has no port"));
    });
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    swallowing = false;
  };
  return {
    port,
    hold: () => {
      holding = true;
    },
    release: () => {
      holding = false;
      for (const { to, bytes } of kept.splice(0)) if (!to.destroyed) to.write(bytes);
    },
    swallowAnswers: () => {
      swallowing = true;
    },
    cut,
    stop: async () => {
      cut();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
