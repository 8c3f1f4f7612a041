/**
 * `npm run replay -- [--histories N] [--seed TEXT] [--json]`: small simulated histories, each call
 * of whose ledger is made again on a real PostgreSQL at the same simulated instant, its answer
 * compared, and in the end the whole chain of each task. One seed is one run, exactly. Exit code 1
 * when the two differed anywhere.
 */
import { startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { asSuperuser, countedRun, type CountedRun } from "../harness/index.ts";
import { createReplayDatabase } from "./replay-database.ts";
import { replayHistories, type Replayed } from "./replay-histories.ts";

/** Ledgers that are played on at once: while one waits for its answer, another asks. */
const LANES = 3;
const PROGRESS_EVERY = 500;
/** A statement is planned once and not for each of its 10,000 histories: nothing here is large. */
const SETTINGS = { plan_cache_mode: "force_generic_plan", jit: "off" };

/** A ledger of its own, and every so manieth of the histories, until there are none. */
async function playLane(
  server: EmbeddedPostgres,
  lane: number,
  { count: histories, seed, stop }: CountedRun,
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

/** Told to stop, it ends with the histories under way, and leaves nothing of its server behind. */
async function replayAll(asked: CountedRun): Promise<Replayed> {
  const server = await startPostgres({ unsafeNoFsync: true, settings: SETTINGS });
  try {
    let done = 0;
    const told = (): void => {
      if (++done % PROGRESS_EVERY === 0) asked.progress(`${done} histories`);
    };
    const lanes = await Promise.all(
      Array.from({ length: LANES }, (_, lane) => playLane(server, lane, asked, told)),
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
  async (asked) => {
    const { histories, calls, difference } = await replayAll(asked);
    const { seed } = asked;
    const differing =
      difference === null
        ? []
        : [
            `DIFFERENT: ${difference.operation}`,
            `  the model: ${JSON.stringify(difference.model)}`,
            `  PostgreSQL: ${JSON.stringify(difference.postgres)}`,
          ];
    return {
      failed: difference !== null,
      report: [...differing, `${histories} histories, ${calls} calls, seed ${seed}`],
      summary: [{ histories, calls, differences: difference === null ? 0 : 1, seed }],
    };
  },
);
