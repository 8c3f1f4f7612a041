import {
  defaultPostgresVersion,
  startPostgres,
  startRedis,
  type EmbeddedPostgres,
} from "@mayfly/embedded";

/** What all rows share: how long to measure, where to say what is going on, which queue. */
export interface BenchWorld {
  readonly rounds: number;
  /** Of one side of one round, besides its warm-up. */
  readonly seconds: number;
  readonly redisUrl: string | null;
  readonly postgresVersion: string;
  /** One line for a person who waits, on standard error. Throws when the run was told to stop. */
  say(line: string): void;
  /** A PostgreSQL of the row's own, with fsync on. Throws when the run was told to stop. */
  startPostgres(settings?: Readonly<Record<string, string>>): Promise<EmbeddedPostgres>;
}

/** Of what costs much time for each round, or has a target of our own alone. */
export const fewRounds = ({ rounds }: Pick<BenchWorld, "rounds">): number =>
  Math.min(rounds, FEW_ROUNDS);
const FEW_ROUNDS = 3;

export interface BenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly say: (line: string) => void;
  /** Aborted: what a row measures is of no use any more. */
  readonly stop: AbortSignal;
}

/** Settings of a server that is meant for load; what a commit promises is left as it is. */
const SERVER_SETTINGS = {
  max_connections: "200",
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "30min",
} as const;

export async function openWorld(options: BenchOptions): Promise<BenchWorld & AsyncDisposable> {
  const { rounds, seconds, say, stop } = options;
  const redis = await startRedis({});
  if (redis.missing !== undefined) say(`no Redis: BullMQ on PostgreSQL. ${redis.missing}`);
  const started: EmbeddedPostgres[] = [];
  return {
    rounds,
    seconds,
    postgresVersion: String(defaultPostgresVersion),
    redisUrl: redis.missing === undefined ? redis.url : null,
    say: (line) => {
      stop.throwIfAborted();
      say(line);
    },
    startPostgres: async (settings = {}) => {
      stop.throwIfAborted();
      const server = await startPostgres({ settings: { ...SERVER_SETTINGS, ...settings } });
      started.push(server);
      return server;
    },
    [Symbol.asyncDispose]: async () => {
      // A row that was cut short still has its own.
      if (stop.aborted) await Promise.all(started.map((server) => server.stop("immediate")));
      if (redis.missing === undefined) await redis[Symbol.asyncDispose]();
    },
  };
}
