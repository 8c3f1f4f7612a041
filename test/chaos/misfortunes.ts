import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { startRedis, type EmbeddedRedis } from "@mayfly/embedded";
import type { TcpFaultProxy } from "@mayfly/testkit";
import type { Draw } from "../simulation/draw.ts";
import type { Restartable } from "../harness/index.ts";
import type { Stage } from "./stage.ts";

/** A Redis without persistence, in whose place another one comes: empty. */
export interface RestartableRedis extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  flush(): Promise<void>;
  killAndReplace(awayMs: number): Promise<void>;
}

/** Null where the machine has none. */
export async function startRestartableRedis(): Promise<RestartableRedis | null> {
  const first = await startRedis({});
  if (first.missing !== undefined) return null;
  const { url, port, password } = first;
  let server: EmbeddedRedis = first;
  return {
    url,
    port,
    flush: async () => {
      const client = new Redis(url);
      await client.flushall();
      client.disconnect();
    },
    killAndReplace: async (awayMs) => {
      server.kill();
      await server.exited;
      await server.stop();
      await sleep(awayMs);
      const next = await startRedis({ port, password });
      if (next.missing !== undefined) throw new Error("redis-server is gone");
      server = next;
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

export interface Servers {
  readonly customer: Restartable;
  readonly ledger: Restartable;
  readonly redis: RestartableRedis | null;
  /** Between the processes and each of them. */
  readonly proxies: {
    readonly customer: TcpFaultProxy;
    readonly ledger: TcpFaultProxy;
    readonly redis: TcpFaultProxy | null;
  };
}

interface Misfortune {
  readonly name: string;
  befall(draw: Draw): Promise<void>;
}

/** A server that is away for this long is soon back; one that is down takes longer. */
const AWAY_MS_MAX = 2_500;
const DOWN_MS = [5_000, 9_000] as const;
const SLOW_MS = [50, 300] as const;
const FAULT_MS = [1_500, 4_000] as const;
const SLICE_MS = 100;

/** Everything that befalls servers and connections, each before any comes a second time. */
export async function misfortunes(
  stage: Stage,
  servers: Servers,
  draw: Draw,
  killsBetween: number,
): Promise<void> {
  const all = [...ofServers(servers), ...ofConnections(servers)];
  let deck: Misfortune[] = [];
  for (let nextAt = killsBetween; !stage.isOver;) {
    await sleep(SLICE_MS);
    if (stage.score.kills < nextAt) continue;
    if (deck.length === 0) deck = shuffled(all, draw);
    const one = deck.pop();
    await one?.befall(draw);
    stage.score.befell(one?.name ?? "");
    nextAt = stage.score.kills + killsBetween;
  }
}

function shuffled<T>(all: readonly T[], draw: Draw): T[] {
  return all
    .map((one) => ({ one, at: draw.between(0, 1) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

function ofServers({ customer, ledger, redis }: Servers): readonly Misfortune[] {
  const lost = (name: string, server: Restartable, how: "fast" | "kill"): Misfortune => ({
    name: `${name} ${how === "kill" ? "killed" : "stopped fast"} and started again`,
    befall: async (draw) => {
      await server.lose(how);
      await sleep(draw.between(0, AWAY_MS_MAX));
      await server.start();
    },
  });
  const onPostgres: readonly Misfortune[] = [
    lost("the customer's server", customer, "fast"),
    lost("the customer's server", customer, "kill"),
    lost("the ledger's server", ledger, "fast"),
    lost("the ledger's server", ledger, "kill"),
    {
      name: "the customer's server down for a while",
      befall: async (draw) => {
        await customer.lose("fast");
        await sleep(draw.between(...DOWN_MS));
        await customer.start();
      },
    },
  ];
  if (redis === null) return onPostgres;
  return [
    ...onPostgres,
    { name: "Redis flushed", befall: () => redis.flush() },
    {
      name: "Redis killed and started again, empty",
      befall: (draw) => redis.killAndReplace(draw.between(0, AWAY_MS_MAX)),
    },
  ];
}

function ofConnections({ proxies }: Servers): readonly Misfortune[] {
  return Object.entries(proxies).flatMap(([name, proxy]) => {
    if (proxy === null) return [];
    const to = `connections to the ${name}`;
    return [
      { name: `${to} cut`, befall: async () => proxy.cut() },
      { name: `${to} reset`, befall: async () => proxy.reset() },
      {
        name: `${to} slow`,
        befall: async (draw: Draw) => {
          proxy.slow(draw.between(...SLOW_MS));
          await sleep(draw.between(...FAULT_MS));
          proxy.slow(0);
        },
      },
      {
        name: `${to} half-open`,
        befall: async (draw: Draw) => {
          proxy.strand();
          await sleep(draw.between(...FAULT_MS));
          proxy.reset();
        },
      },
    ];
  });
}
