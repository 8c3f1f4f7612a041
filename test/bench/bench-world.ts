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
  /** One line for a person who waits, on standard error. */
  say(line: string): void;
  /** A PostgreSQL of the row's own, with fsync on. */
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
}

/** Settings of a server that is meant for load; what a commit promises is left as it is. */
const SERVER_SETTINGS = {
  max_connections: "200",
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "30min",
} as const;

export async function openWorld(options: BenchOptions): Promise<BenchWorld & AsyncDisposable> {
  const redis = await startRedis({});
  if (redis.missing !== undefined) options.say(`no Redis: BullMQ on PostgreSQL. ${redis.missing}`);
  return {
    ...options,
    postgresVersion: String(defaultPostgresVersion),
    redisUrl: redis.missing === undefined ? redis.url : null,
    startPostgres: (settings = {}) =>
      startPostgres({ settings: { ...SERVER_SETTINGS, ...settings } }),
    [Symbol.asyncDispose]: async () => {
      if (redis.missing === undefined) await redis[Symbol.asyncDispose]();
    },
  };
}
