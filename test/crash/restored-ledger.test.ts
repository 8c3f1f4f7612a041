import { expect, test } from "vitest";
import {
  asSuperuser,
  codeOf,
  grantedOf,
  sharedServer,
  startInstallation,
  textAt,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, SETTLE_MS_MAX } from "./scene.ts";

/** The broker's: it pauses when no sweep finished within twice this. */
const SWEEP_SECONDS = 1;

const startBroker = (mayfly: Installation): Promise<RunningBroker> =>
  mayfly.startBroker({ MAYFLY_SWEEP_INTERVAL_SECONDS: String(SWEEP_SECONDS) });

const granted = (mayfly: Installation, broker: RunningBroker, ref: string) =>
  until(`a credential for ${ref}`, SETTLE_MS_MAX, async () => {
    const reply = await broker.api.exchange(opening(mayfly, ref));
    return reply.status === 200 && grantedOf(reply);
  });

/** Whoever is connected would keep the database from being copied or renamed. */
const disconnect = (name: string): string =>
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;

test(
  "a ledger restored without its last commits issues nothing before a sweep, and ends what it lost",
  { timeout: 240_000 },
  async () => {
    await using mayfly = await startInstallation();
    const { name } = mayfly.ledgerDatabase;
    const asAdmin = (...statements: readonly string[]) =>
      asSuperuser(sharedServer(), "postgres", async (sql) => {
        for (const statement of statements) await sql.unsafe(statement);
      });
    const first = await startBroker(mayfly);
    const worker = await mayfly.startWorker();
    await mayfly.register(first);
    await granted(mayfly, first, "before");
    await Promise.all([first.stop(), worker.stop()]);
    await asAdmin(disconnect(name), `CREATE DATABASE ${name}_copy TEMPLATE ${name}`);

    const second = await startBroker(mayfly);
    const later = await mayfly.startWorker();
    const lost = await granted(mayfly, second, "lost");
    await Promise.all([second.kill(), later.kill()]);
    await asAdmin(
      `DROP DATABASE ${name} WITH (FORCE)`,
      `ALTER DATABASE ${name}_copy RENAME TO ${name}`,
    );

    // On a fast machine all of this takes less than the broker waits for a sweep.
    await until("a last sweep that is long over", SETTLE_MS_MAX, async () => {
      const [{ seconds } = { seconds: 0 }] = await mayfly.ledger<{ seconds: number }[]>`
        SELECT extract(epoch FROM now() - max(finished_at))::float8 AS seconds FROM mayfly.sweeps`;
      return seconds > 2 * SWEEP_SECONDS;
    });
    const broker = await startBroker(mayfly);
    const refused = await broker.api.exchange(opening(mayfly, "too soon"));
    expect(codeOf(refused)).toBe("issuing_paused");
    expect(textAt(refused, "error_description")).toContain("sweep");
    expect(await isLetIn(lost.credential)).toBe(true);

    await mayfly.startWorker();
    await granted(mayfly, broker, "after");
    await until("the end of what was lost", SETTLE_MS_MAX, async () => {
      return !(await isLetIn(lost.credential));
    });
    const resurfaced = await mayfly.ledger`
      SELECT data -> 'rowWasLost' AS lost FROM mayfly.events WHERE kind = 'lease.resurfaced'`;
    expect(resurfaced).toEqual([{ lost: true }]);
  },
);
