import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { systemClock } from "@mayfly/host";
import type { Issued, OpenBackend } from "@mayfly/spec";
import { revoking } from "@mayfly/testkit/contract";
import {
  accountOf,
  testedPostgresVersions,
  tryLogin,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import { Endpoint } from "./endpoint.ts";
import { LockReserve } from "./lock-reserve.ts";
import { parseStrict } from "@mayfly/backend-kit";
import { connectionSettings } from "./connection-settings.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

type Sql = ReturnType<CustomerPostgres["connect"]>;

for (const version of testedPostgresVersions()) {
  describe(`a lease that fills the lock table, on PostgreSQL ${version}`, () => {
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];
    beforeAll(async () => {
      started = await startPostgresBench({ version });
      ({ customer, bench } = started);
    });
    afterAll(() => started.stop());
    const issue = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
    const revoke = (issued: Issued): Promise<unknown> =>
      revoking(bench.open).revoke(issued.handle, bench.call());

    /** As many sessions as its role may have, each with all the locks that it still gets. */
    async function fill(issued: Issued, sessions: number): Promise<readonly Sql[]> {
      const all = Array.from({ length: sessions }, () =>
        customer.connect(...accountOf(issued.material)),
      );
      await Promise.all(all.map((sql) => sql.unsafe("SELECT 1").simple()));
      for (const sql of all) {
        await lockAll(sql, await lockAll(sql, 0, 500), 1);
      }
      return all;
    }
    async function lockAll(sql: Sql, first: number, step: number): Promise<number> {
      for (let from = first; ; from += step) {
        try {
          await sql.unsafe(`SELECT count(pg_advisory_lock_shared(i))
            FROM generate_series(${from}, ${from + step - 1}) i`);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: "53200" });
          return from;
        }
      }
    }
    const holders = () =>
      customer.sql()<{ pid: number; clean: boolean }[]>`
        SELECT pid, backend_xmin IS NULL AND backend_xid IS NULL AS clean
        FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid IN (
          SELECT pid FROM pg_locks WHERE relation = 'pg_auth_members'::regclass)`;
    const held = () => vi.waitUntil(async () => (await holders()).length > 0, { timeout: 30_000 });
    const gone = (all: readonly Sql[]): Promise<unknown> =>
      Promise.all(all.map((sql) => sql.end({ timeout: 0 })));

    test("of the reserve one session always holds, without a snapshot or a number", async () => {
      const [closing, holdMs] = [new AbortController(), 200];
      const settings = parseStrict(connectionSettings, bench.upstream.config, "config");
      const { host, port, database } = settings;
      const place = { settings, host, port, database, clock: systemClock, slots: 2 };
      const reserve = new LockReserve(new Endpoint(place), bench.host, closing.signal, holdMs);
      reserve.begin();
      await held();
      await sleep(holdMs);
      const seen = new Set<number>();
      for (let look = 0; look < 40; look++) {
        const rows = await holders();
        expect(rows).not.toEqual([]);
        for (const { pid, clean } of rows) {
          expect(clean).toBe(true);
          seen.add(pid);
        }
        await sleep(25);
      }
      expect(seen.size).toBe(2);
      closing.abort();
      await reserve.close();
    });

    test.each([1, 4])(
      "in %i sessions is ended by whoever lists, all the same",
      async (sessions) => {
        await listingOf(bench.open).list(null, bench.call());
        await held();
        const issued = await issue();
        const all = await fill(issued, sessions);
        await revoke(issued);
        expect(await tryLogin(customer, issued.material)).toBe("refused");
        const { verdict } = await revoking(bench.open).probe(issued.handle, bench.call());
        expect(verdict).toBe("refused");
        await gone(all);
      },
    );
  });
}

function listingOf(open: OpenBackend) {
  if (open.listing.kind !== "marked") throw new Error("it lists nothing");
  return open.listing;
}
