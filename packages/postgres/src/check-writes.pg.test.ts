import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  freshDatabase,
  postgresVersionsToTest,
  startPostgres,
  type EmbeddedPostgres,
} from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import type { Clock } from "@mayfly/spec";
import { refusalOf } from "@mayfly/testkit";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { migrate } from "./migrate.ts";
import type { Ledger } from "./open-ledger.ts";
import { createTestLedger, TEST_PASSWORDS, type TestLedger } from "./testing/test-ledger.ts";

/** More than the server has room for: some 7,000 by its settings. */
const FILL = "SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 200000) AS i";

describe.for(postgresVersionsToTest())("whether the ledger takes work, on %s", (version) => {
  let server: EmbeddedPostgres;
  let ledger: TestLedger;
  // Its lock table is filled here, so it is one of this file's own.
  beforeAll(async () => {
    const settings = { max_connections: "40" };
    server = await startPostgres({ version, unsafeNoFsync: true, settings });
    const url = await freshDatabase(server);
    await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
    const name = new URL(url).pathname.slice(1);
    const urlAs = (user: string, password: string): string => server.url(name, user, password);
    ledger = await createTestLedger({ name, url, urlAs });
  });
  afterAll(async () => {
    await ledger.close();
    await server.stop("immediate");
  });

  /** What it says while a session holds every lock but these, and what reading says. */
  async function whileFull(free: number, look: () => Promise<void>): Promise<void> {
    const holder = postgres(ledger.database.url, { max: 1, onnotice: () => undefined });
    try {
      await expect(holder.unsafe(FILL)).rejects.toMatchObject({ code: "53200" });
      await holder`SELECT pg_advisory_unlock(i) FROM generate_series(1, ${free}::integer) AS i`;
      await look();
    } finally {
      await holder.end({ timeout: 5 });
    }
  }

  const ROLES = ["broker", "worker"] as const;

  test("a full lock table is told, though the schema is still read", async () => {
    for (const role of ROLES) await ledger[role].checkWrites();
    await whileFull(0, async () => {
      for (const role of ROLES) {
        await ledger[role].checkSchema();
        const refusal = await refusalOf(ledger[role].checkWrites());
        expect(refusal).toMatchObject({
          code: "ledger_unavailable",
          message: "The ledger answers, and refuses work (SQLSTATE 53200).",
        });
      }
      const refused = await refusalOf(ledgerFixtures.openTask(ledger.ports));
      expect(refused.code).toBe("ledger_unavailable");
    });
    await ledgerFixtures.openTask(ledger.ports);
    await ledger.broker.checkWrites();
  });

  test("room for one lock is no room for an exchange", async () => {
    await whileFull(8, async () => {
      expect(await ledger.superuser`SELECT pg_current_xact_id()::text`).toHaveLength(1);
      expect((await refusalOf(ledger.worker.checkWrites())).message).toContain("53200");
    });
    await ledger.worker.checkWrites();
  });

  test("a look leaves no lock behind", async () => {
    for (let n = 0; n < 3; n++) await ledger.broker.checkWrites();
    const held = await ledger.superuser`SELECT 1 FROM pg_locks WHERE locktype = 'advisory'`;
    expect(held).toHaveLength(0);
  });

  test("where somebody else took advisory locks from our roles, an id's own lock is asked for", async () => {
    const { superuser } = ledger;
    const locking = "FUNCTION pg_try_advisory_xact_lock_shared(integer, integer)";
    await superuser.unsafe(`REVOKE EXECUTE ON ${locking} FROM mayfly_broker`);
    const broker = await ledger.open("mayfly_broker");
    await broker.checkWrites();
    await whileFull(0, async () => {
      expect((await refusalOf(broker.checkWrites())).message).toContain("53200");
    });
    await superuser.unsafe(`GRANT EXECUTE ON ${locking} TO mayfly_broker`);
  });

  describe("that has no connection left", () => {
    let shiftMs = 0;
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() + shiftMs,
    };
    /** With a connection that is open, and no other to be had for what commits. */
    async function starved(look: (broker: Ledger) => Promise<void>): Promise<void> {
      const broker = await ledger.open("mayfly_broker", { clock });
      await broker.checkWrites();
      await ledger.superuser`ALTER ROLE mayfly_broker CONNECTION LIMIT 0`;
      try {
        const ports = { ...ledger.ports, issue: broker.issue };
        const refused = await refusalOf(ledgerFixtures.openTask(ports));
        expect(refused.code).toBe("ledger_unavailable");
        await broker.checkSchema();
        expect((await refusalOf(broker.checkWrites())).message).toContain("53300");
        await look(broker);
      } finally {
        await ledger.superuser`ALTER ROLE mayfly_broker CONNECTION LIMIT -1`;
      }
    }

    test("says so as long as none is to be had, and for 10 s after", async () => {
      await starved(async (broker) => {
        shiftMs += 10_000;
        expect((await refusalOf(broker.checkWrites())).message).toContain("53300");
        await ledger.superuser`ALTER ROLE mayfly_broker CONNECTION LIMIT -1`;
        expect((await refusalOf(broker.checkWrites())).message).toContain("53300");
        shiftMs += 10_000;
        await broker.checkWrites();
        await broker.checkWrites();
      });
    });

    test("takes work again once something was committed", async () => {
      await starved(async (broker) => {
        await ledger.superuser`ALTER ROLE mayfly_broker CONNECTION LIMIT -1`;
        await ledgerFixtures.openTask({ ...ledger.ports, issue: broker.issue });
        await expect(broker.checkWrites()).resolves.toBeUndefined();
      });
    });
  });

  test("a server that only reads takes none", async () => {
    const { name } = ledger.database;
    await ledger.superuser.unsafe(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    const broker = await ledger.open("mayfly_broker");
    await ledger.superuser.unsafe(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    expect((await refusalOf(broker.checkWrites())).message).toContain("25006");
  });
});
