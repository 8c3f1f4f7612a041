import postgres from "postgres";
import type { EmbeddedPostgres } from "@mayfly/embedded";
import { createJsonLog, systemClock, systemRandom } from "@mayfly/host";
import { openLedger, type Ledger, type LedgerOptions } from "@mayfly/postgres";
import { createLedgerDatabase, type LedgerDatabase } from "../harness/ledger-database.ts";
import type { BenchWorld } from "./bench-world.ts";
import { createLedgerLoad, registerForLoad, type LedgerLoad } from "./ledger-load.ts";

/** A ledger with no process of Mayfly on it but this one. */
export interface BenchLedger extends AsyncDisposable {
  readonly server: EmbeddedPostgres;
  readonly database: LedgerDatabase;
  /** As the broker has it. */
  readonly ledger: Ledger;
  readonly worker: Ledger;
  readonly load: LedgerLoad;
  readonly superuser: postgres.Sql;
  /** As the broker and the worker have it, by new connections. */
  openAgain(): Promise<OpenedAgain>;
}

export interface OpenedAgain extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly worker: Ledger;
}

/** As the broker opens it in production, with 20 connections. */
export async function openBenchLedger(world: BenchWorld): Promise<BenchLedger> {
  await using started = new AsyncDisposableStack();
  const server = started.use(await world.startPostgres());
  const database = await createLedgerDatabase(server);
  const superuser = postgres(database.url, { max: 4, onnotice: () => undefined });
  started.defer(() => superuser.end({ timeout: 1 }));
  const open = async (url: string): Promise<Ledger> => {
    const ledger = await openLedger({ ...PRODUCTION, url });
    started.defer(() => ledger.close());
    return ledger;
  };
  const ledger = await open(database.brokerUrl);
  const worker = await open(database.workerUrl);
  const load = createLedgerLoad(systemClock, await registerForLoad(ledger.catalog));
  const all = started.move();
  return {
    server,
    database,
    ledger,
    worker,
    load,
    superuser,
    openAgain: async () => {
      const again = await openLedger({ ...PRODUCTION, url: database.brokerUrl });
      const asWorker = await openLedger({ ...PRODUCTION, url: database.workerUrl });
      return {
        ledger: again,
        worker: asWorker,
        [Symbol.asyncDispose]: async () => {
          await Promise.all([again.close(), asWorker.close()]);
        },
      };
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const PRODUCTION: Omit<LedgerOptions, "url"> = {
  applicationName: "mayfly-bench",
  connections: { commits: 8, queries: 4, statements: 8 },
  clock: systemClock,
  random: systemRandom,
  log: createJsonLog({
    stream: process.stderr,
    level: "warn",
    clock: systemClock,
    fields: {},
    currentTrace: () => null,
  }),
};
