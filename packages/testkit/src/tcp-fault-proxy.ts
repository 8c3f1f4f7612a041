import { createServer, connect, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A TCP relay whose traffic a test can hold back, slow down, strand or cut. */
export interface TcpFaultProxy {
  readonly port: number;
  /**
   * From now on what clients send is kept, and delivered at `release`; of each connection only from
   * the first piece on that `from` picks.
   */
  hold(from?: (piece: Buffer) => boolean): void;
  release(): void;
  /** From now on what the server answers is dropped, and the connections are cut at `cut`. */
  swallowAnswers(): void;
  /** From now on each piece, either way, waits so long before it is passed on; 0: not at all. */
  slow(delayMs: number): void;
  /**
   * As a server that hangs: connections are taken, and so is all that is sent, and nothing comes
   * back, be it a greeting. Until `cut` or `reset`.
   */
  hang(): void;
  /**
   * Leaves the present connections half-open: nothing passes any more, either way, and neither end
   * hears of the other, not even of its death, before `cut` or `reset`. New connections work.
   */
  strand(): void;
  /** Cuts all connections, in the middle of whatever they do. */
  cut(): void;
  /** The same, by a reset (RST): what was under way to either end is lost too. */
  reset(): void;
  /** As a server that went down: present connections are reset, and new ones refused. */
  refuse(): Promise<void>;
  /** As one that is back, at the same port. */
  listen(): Promise<void>;
  stop(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
  stranded: boolean;
  held: boolean;
}

interface Faults {
  holdFrom: ((piece: Buffer) => boolean) | null;
  swallowing: boolean;
  hanging: boolean;
  delayMs: number;
}

export async function startTcpFaultProxy({
  host,
  port: targetPort,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpFaultProxy> {
  // A whole server may be given: what else it has is no option of a socket.
  const target = { host, port: targetPort };
  const links = new Set<Link>();
  const kept: { readonly to: Socket; readonly bytes: Buffer }[] = [];
  const faults: Faults = { holdFrom: null, swallowing: false, hanging: false, delayMs: 0 };
  const server = createServer((client) => {
    const link: Link = { client, upstream: connect(target), stranded: false, held: false };
    links.add(link);
    const { upstream } = link;
    const toUpstream = createPipe(link, upstream, faults);
    const toClient = createPipe(link, client, faults);
    for (const [socket, other, pipe] of [
      [client, upstream, toUpstream],
      [upstream, client, toClient],
    ] as const) {
      socket.setNoDelay(true);
      // What it means is told by the end of the connection, which follows.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        if (link.stranded) return;
        links.delete(link);
        // What was sent before the end arrives before it, however slowly.
        pipe
          .drained()
          .then(() => other.destroySoon())
          .catch(() => undefined);
      });
    }
    client.on("data", (bytes) => {
      if (faults.hanging) return;
      link.held ||= faults.holdFrom?.(Buffer.from(bytes)) === true;
      if (link.held) kept.push({ to: upstream, bytes: Buffer.from(bytes) });
      else toUpstream.pass(bytes);
    });
    upstream.on("data", (bytes) => {
      if (!faults.swallowing && !faults.hanging) toClient.pass(bytes);
    });
  });
  const port = await listenAt(server, 0);
  const end = (how: "destroy" | "resetAndDestroy"): void => {
    for (const { client, upstream } of links) {
      client[how]();
      upstream[how]();
    }
    links.clear();
    faults.swallowing = false;
    faults.hanging = false;
  };
  return {
    port,
    hold: (from = () => true) => {
      faults.holdFrom = from;
    },
    release: () => {
      faults.holdFrom = null;
      for (const link of links) link.held = false;
      for (const { to, bytes } of kept.splice(0)) if (!to.destroyed) to.write(bytes);
    },
    swallowAnswers: () => {
      faults.swallowing = true;
    },
    hang: () => {
      faults.hanging = true;
    },
    slow: (delayMs) => {
      faults.delayMs = delayMs;
    },
    strand: () => {
      for (const link of links) link.stranded = true;
    },
    cut: () => end("destroy"),
    reset: () => end("resetAndDestroy"),
    refuse: async () => {
      const closed = isClosed(server);
      end("resetAndDestroy");
      await closed;
    },
    listen: async () => {
      await listenAt(server, port);
    },
    stop: async () => {
      const closed = isClosed(server);
      end("destroy");
      await closed;
    },
  };
}

function listenAt(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.removeListener("error", reject);
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address.port);
      else reject(new Error("the proxy has no port"));
    });
  });
}

/** Takes no more connections from now on; resolves, too, where it took none before. */
const isClosed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
  });

/** One direction of a connection: pieces arrive in their order, however late. */
interface Pipe {
  pass(bytes: Buffer | string): void;
  drained(): Promise<void>;
}

function createPipe(link: Link, to: Socket, faults: { readonly delayMs: number }): Pipe {
  let last: Promise<void> | null = null;
  const deliver = (bytes: Buffer | string): void => {
    if (!link.stranded && !to.destroyed) to.write(bytes);
  };
  const pass = (bytes: Buffer | string): void => {
    const { delayMs } = faults;
    if (delayMs === 0 && last === null) {
      deliver(bytes);
      return;
    }
    const mine: Promise<void> = (last ?? Promise.resolve())
      .then(() => pause(delayMs))
      .then(() => {
        deliver(bytes);
        if (last === mine) last = null;
      });
    last = mine;
  };
  return { pass, drained: () => last ?? Promise.resolve() };
}
