/**
 * `npm run replay -- [--histories N] [--seed TEXT] [--json]`: small simulated histories, each call
 * of whose ledger is made again on a real PostgreSQL at the same simulated instant, its answer
 * compared, and in the end the whole chain of each task. One seed is one run, exactly. Exit code 1
 * when the two differed anywhere.
 */
import { startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { asSuperuser, countedRun } from "../harness/index.ts";
import { createReplayDatabase } from "./replay-database.ts";
import { replayHistories, type Replayed } from "./replay-histories.ts";

/** Ledgers that are played on at once: while one waits for its answer, another asks. */
const LANES = 3;
const PROGRESS_EVERY = 500;
/** A statement is planned once and not for each of its 10,000 histories: nothing here is large. */
const SETTINGS = { plan_cache_mode: "force_generic_plan", jit: "off" };
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

interface ReplayOptions {
  readonly histories: number;
  readonly seed: string;
}

/** A ledger of its own, and every so manieth of the histories, until there are none. */
async function playLane(
  server: EmbeddedPostgres,
  lane: number,
  { histories, seed, stop }: ReplayOptions & { readonly stop: AbortSignal },
  told: () => void,
): Promise<Replayed> {
  const name = `replay_${lane}`;
  await asSuperuser(server, "postgres", (sql) => sql.unsafe(`CREATE DATABASE ${name}`));
  const database = await createReplayDatabase({
    url: server.url(name),
    urlAs: (user, password) => server.url(name, user, password),
  });
  const names = function* (): Generator<string> {
    for (let count = lane; !stop.aborted && count < histories; count += LANES) {
      yield `${seed}/${count}`;
    }
  };
  try {
    return await replayHistories(names(), database, told);
  } finally {
    await database.close();
  }
}

async function replayAll(options: ReplayOptions): Promise<Replayed> {
  // Told to stop, it ends with the histories under way, and leaves nothing of its server behind.
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  const server = await startPostgres({ unsafeNoFsync: true, settings: SETTINGS });
  try {
    let done = 0;
    const told = (): void => {
      if (++done % PROGRESS_EVERY === 0) process.stderr.write(`  … ${done} histories\n`);
    };
    const lanes = await Promise.all(
      Array.from({ length: LANES }, (_, lane) =>
        playLane(server, lane, { ...options, stop: stop.signal }, told),
      ),
    );
    return {
      histories: lanes.reduce((sum, { histories }) => sum + histories, 0),
      calls: lanes.reduce((sum, { calls }) => sum + calls, 0),
      difference: lanes.find(({ difference }) => difference !== null)?.difference ?? null,
    };
  } finally {
    await server.stop("immediate");
  }
}

process.exitCode = await countedRun(
  {
    name: "replay",
    counted: "histories",
    byDefault: 10_000,
    about: "Plays simulated histories again on a real PostgreSQL, call by call, and compares.",
  },
  async ({ count, seed, json }) => {
    const { histories, calls, difference } = await replayAll({ histories: count, seed });
    if (difference !== null) {
      say(`DIFFERENT: ${difference.operation}`);
      say(`  the model: ${JSON.stringify(difference.model)}`);
      say(`  PostgreSQL: ${JSON.stringify(difference.postgres)}`);
    }
    say(`${histories} histories, ${calls} calls, seed ${seed}`);
    const differences = difference === null ? 0 : 1;
    if (json) say(JSON.stringify({ histories, calls, differences, seed }));
    return differences === 0 ? 0 : 1;
  },
);
