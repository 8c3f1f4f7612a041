import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { BackendError, type Issued, type OpenBackend } from "@mayfly/spec";
import { revoking } from "@mayfly/testkit/contract";
import { accountOf, testedPostgresVersions, tryLogin } from "@mayfly/testkit/vitest";
import { readHandle } from "./lease-mark.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

for (const version of testedPostgresVersions()) {
  describe(`what a lease leaves behind on PostgreSQL ${version}`, () => {
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];
    beforeAll(async () => {
      started = await startPostgresBench({
        version,
        // A small lock table, so that little fills it.
        settings: {
          max_locks_per_transaction: "10",
          max_connections: "20",
          autovacuum_naptime: "1s",
        },
      });
      ({ customer, bench } = started);
    });
    afterAll(() => started.stop());
    const openWith = (more: object): OpenBackend =>
      bench.openAgain(Object.assign({}, bench.upstream.config, { call_seconds_max: 1, ...more }));
    const issue = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
    const asLease = async (issued: Issued, texts: readonly string[]): Promise<void> => {
      const sql = customer.connect(...accountOf(issued.material));
      for (const text of texts) await sql.unsafe(text).simple();
      await sql.end({ timeout: 0 });
    };
    /** How many attempts it took. */
    const revokeAgain = async (issued: Issued, open: OpenBackend): Promise<number> => {
      for (let attempt = 1; attempt < 40; attempt++) {
        try {
          await revoking(open).revoke(issued.handle, bench.call());
          return attempt;
        } catch (thrown) {
          if (!BackendError.isBackendError(thrown)) throw thrown;
          expect(await tryLogin(customer, issued.material)).toBe("refused");
          await systemClock.sleep(500);
        }
      }
      throw new Error("40 attempts did not end it");
    };
    const traces = async (issued: Issued): Promise<unknown> => {
      const { oid } = readHandle(issued.handle);
      const [row] = await customer.sql()`
        SELECT (SELECT count(*) FROM pg_roles WHERE oid = ${oid})::int
          + (SELECT count(*) FROM pg_shdepend
               WHERE refclassid = 'pg_authid'::regclass AND refobjid = ${oid})::int AS n`;
      return row?.["n"];
    };
    const largeObjects = async (owner: string): Promise<unknown> => {
      const [row] = await customer.sql()`SELECT count(*)::int AS n FROM pg_largeobject_metadata
        WHERE lomowner = (SELECT oid FROM pg_roles WHERE rolname = ${owner})`;
      return row?.["n"];
    };

    const MANY = 40_000;

    test.each([
      ["reassign", MANY],
      ["drop", 0],
    ] as const)(
      "more large objects than one statement has time for, with on_owned_objects %s",
      async (mode, kept) => {
        const open = openWith({ on_owned_objects: mode });
        const issued = await issue();
        await asLease(issued, [`SELECT count(lo_create(0)) FROM generate_series(1, ${MANY})`]);
        const before = Number(await largeObjects("orders_owner"));
        await revokeAgain(issued, open);
        expect(await traces(issued)).toBe(0);
        expect(Number(await largeObjects("orders_owner")) - before).toBe(kept);
        await open.close();
      },
    );

    test("more large objects granted to it by another lease than one statement takes", async () => {
      const open = openWith({});
      const [ending, other] = [await issue(), await issue()];
      const [name] = accountOf(ending.material);
      await asLease(other, [
        `DO $$ DECLARE lo oid; BEGIN FOR n IN 1..5000 LOOP lo := lo_create(0);
         EXECUTE 'GRANT SELECT ON LARGE OBJECT ' || lo || ' TO "${name}"';
         IF n % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$`,
      ]);
      await revokeAgain(ending, open);
      expect(await traces(ending)).toBe(0);
      await revokeAgain(other, open);
      await open.close();
    });

    test("more temporary tables than the server can lock at once", async () => {
      const open = openWith({});
      const issued = await issue();
      // While the lock table is full the server lets nobody in; a broker that lists is in.
      await revoking(open).probe(issued.handle, bench.call());
      const creating = Array.from({ length: 2_500 }, (_, n) => `CREATE TEMP TABLE t${n} (i int)`);
      await asLease(issued, creating);
      await revokeAgain(issued, open);
      expect(await traces(issued)).toBe(0);
      await open.close();
    });
  });
}
