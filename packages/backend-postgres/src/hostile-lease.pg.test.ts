import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import type { Issued } from "@mayfly/spec";
import { backendErrorOf, revoking } from "@mayfly/testkit/contract";
import {
  accountOf,
  testedPostgresVersions,
  tryLogin,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import { readHandle } from "./lease-mark.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

type Sql = ReturnType<CustomerPostgres["connect"]>;
type Sends = Pick<Sql, "unsafe">;

for (const version of testedPostgresVersions()) {
  describe(`a lease that does not want to end, on PostgreSQL ${version}`, () => {
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];
    beforeAll(async () => {
      started = await startPostgresBench({ version });
      ({ customer, bench } = started);
    });
    afterAll(() => started.stop());
    const issue = (): Promise<Issued> => bench.open.issue(bench.plan(), bench.issueCall());
    const revoke = (issued: Issued, open = bench.open) =>
      revoking(open).revoke(issued.handle, bench.call());
    const oidOf = ({ handle }: Issued): number => readHandle(handle).oid;
    const nameOf = ({ material }: Issued): string => accountOf(material)[0];
    const traces = async (issued: Issued): Promise<number> => {
      const oid = oidOf(issued);
      const [row] = await customer.sql()<{ n: number }[]>`
        SELECT (SELECT count(*) FROM pg_roles WHERE oid = ${oid})::int
          + (SELECT count(*) FROM pg_stat_activity WHERE usesysid = ${oid})::int
          + (SELECT count(*) FROM pg_prepared_xacts WHERE owner = ${nameOf(issued)})::int AS n`;
      return row?.n ?? -1;
    };
    const simple = (sql: Sends, text: string) => sql.unsafe(text).simple();
    /** Runs it and lets the session stand as it is then, its transaction open. */
    const holding = async (issued: Issued, text: string): Promise<Sql> => {
      const sql = customer.connect(...accountOf(issued.material));
      await simple(sql, text);
      return sql;
    };
    const gone = (sql: Sql): Promise<void> => sql.end({ timeout: 0 });
    const afterEnd = async (issued: Issued) => ({
      traces: await traces(issued),
      login: await tryLogin(customer, issued.material),
      probe: (await revoking(bench.open).probe(issued.handle, bench.call())).verdict,
    });
    const NOTHING = { traces: 0, login: "refused", probe: "refused" };

    test.each([
      ["changed its password", "ALTER ROLE CURRENT_USER PASSWORD 'x'"],
      ["changed its settings", "ALTER ROLE CURRENT_USER SET work_mem = '1MB'"],
    ])("an open transaction that %s does not hold up its end", async (_what, change) => {
      const issued = await issue();
      const sql = await holding(issued, `BEGIN; ${change}`);
      await revoke(issued);
      expect(await afterEnd(issued)).toEqual(NOTHING);
      await gone(sql);
    });

    test("prepared transactions that hold its own role are rolled back", async () => {
      const issued = await issue();
      const changes = [
        "ALTER ROLE CURRENT_USER PASSWORD 'x'",
        "ALTER ROLE CURRENT_USER SET work_mem = '1MB'",
      ];
      for (const [n, change] of changes.entries()) {
        const sql = await holding(issued, `BEGIN; ${change}; PREPARE TRANSACTION 'kept ''${n}'`);
        await gone(sql);
      }
      await revoke(issued);
      expect(await afterEnd(issued)).toEqual(NOTHING);
    });

    test("clients that come back again and again to lock its role do not win", async () => {
      const issued = await issue();
      const [name, password] = accountOf(issued.material);
      // The same password, so that the next login succeeds whichever change was committed.
      const change = `ALTER ROLE CURRENT_USER PASSWORD '${password}'`;
      const stop = new AbortController();
      let rounds = 0;
      const again = async (text: (n: number) => string): Promise<void> => {
        while (!stop.signal.aborted) {
          const sql = customer.connect(name, password);
          await simple(sql, text(rounds++)).catch(() => undefined);
          await simple(sql, "SELECT pg_sleep(10)").catch(() => undefined);
          await gone(sql);
        }
      };
      const clients = [
        again(() => `BEGIN; ${change}`),
        again(() => `${change}; ${change}; BEGIN; ${change}`),
        again((n) => `BEGIN; ${change}; PREPARE TRANSACTION 'again ${n}'`),
        again(() => `DO $$ BEGIN LOOP ${change}; COMMIT; END LOOP; END $$`),
      ];
      await systemClock.sleep(300);
      try {
        await revoke(issued);
      } finally {
        stop.abort();
      }
      await Promise.all(clients);
      // All were there; how often they come back hangs on how soon they are shut out.
      expect(rounds).toBeGreaterThanOrEqual(clients.length);
      expect(await afterEnd(issued)).toEqual(NOTHING);
    });

    test("a lease may change its password and settings, and nothing else of its role", async () => {
      const issued = await issue();
      const sql = customer.connect(...accountOf(issued.material));
      const role = `"${nameOf(issued)}"`;
      const refused = [
        "VALID UNTIL 'infinity'",
        "LOGIN",
        "CONNECTION LIMIT 100",
        "CREATEROLE",
        "RENAME TO mine",
      ];
      for (const clause of refused) {
        await expect(simple(sql, `ALTER ROLE ${role} ${clause}`)).rejects.toThrow(/denied|renamed/);
      }
      await expect(simple(sql, `GRANT ${role} TO mayfly_broker`)).rejects.toThrow(/denied|admin/);
      await expect(simple(sql, `COMMENT ON ROLE ${role} IS 'x'`)).rejects.toThrow(/must|denied/);
      await simple(
        sql,
        `ALTER ROLE ${role} SET statement_timeout = 1;
         ALTER ROLE ${role} SET lock_timeout = 1;
         ALTER ROLE ${role} SET role = 'none';
         ALTER ROLE ${role} SET search_path = pg_temp;
         ALTER ROLE ${role} PASSWORD 'another'; ALTER ROLE ${role} PASSWORD NULL`,
      );
      await gone(sql);
      await revoke(issued);
      expect(await afterEnd(issued)).toEqual(NOTHING);
    });

    test("an open change of its own role fails its renewal soon, and not its end", async () => {
      const issued = await issue();
      const sql = await holding(issued, "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'x'");
      const { renewal } = bench.open;
      if (renewal.kind === "none") throw new Error("no renewal");
      const plan = bench.plan();
      const before = systemClock.monotonicMs();
      const error = await backendErrorOf(
        renewal.extend(plan, issued.handle, plan.expiresAt, bench.issueCall({ seconds: 15 })),
      );
      expect(error.effect).toBe("none");
      expect(systemClock.monotonicMs() - before).toBeLessThan(12_000);
      await revoke(issued);
      expect(await afterEnd(issued)).toEqual(NOTHING);
      await gone(sql);
    });

    test("recover ends what was minted, whatever it holds", async () => {
      const plan = bench.plan();
      const issued = await bench.open.issue(plan, bench.issueCall());
      const sql = await holding(issued, "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'x'");
      expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
      expect(await afterEnd(issued)).toEqual(NOTHING);
      await gone(sql);
    });

    test("a stranger that locks roles is named and left alone; sessions are cut", async () => {
      const issued = await issue();
      const sql = await holding(issued, "SELECT 1");
      const open = bench.openAgain(
        Object.assign({}, bench.upstream.config, { call_seconds_max: 2 }),
      );
      const session = await customer.sql().reserve();
      const [{ pid }] = await session<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
      await session.unsafe("BEGIN; LOCK TABLE pg_authid IN SHARE ROW EXCLUSIVE MODE").simple();
      const error = await backendErrorOf(revoke(issued, open));
      expect(error.message).toContain(`process ${pid} of the role postgres`);
      const [row] = await customer.sql()`SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE usesysid = ${oidOf(issued)}`;
      expect(row).toEqual({ n: 0 });
      await session.unsafe("ROLLBACK");
      session.release();
      await revoke(issued, open);
      expect(await afterEnd(issued)).toEqual(NOTHING);
      await gone(sql);
      await open.close();
    });

    test.each([
      [
        "grants on a table of its own",
        'CREATE TEMP TABLE t (i int); BEGIN; GRANT SELECT ON t TO "$"',
      ],
      [
        "changes default privileges that name it",
        `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "$"; BEGIN;
         ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC`,
      ],
    ])("another lease that %s does not hold up its end", async (_what, text) => {
      const [ending, other] = [await issue(), await issue()];
      const sql = await holding(other, text.replaceAll("$", nameOf(ending)));
      await revoke(ending);
      expect(await afterEnd(ending)).toEqual(NOTHING);
      // It lost its session, not its lease.
      expect(await tryLogin(customer, other.material)).toBe("accepted");
      await revoke(other);
      await gone(sql);
    });

    test("what another lease prepared or granted does not hold up its end", async () => {
      const [ending, other] = [await issue(), await issue()];
      const role = `"${nameOf(ending)}"`;
      const sql = await holding(
        other,
        `BEGIN; SELECT lo_create(434343); GRANT SELECT ON LARGE OBJECT 434343 TO ${role};
         PREPARE TRANSACTION 'other'`,
      );
      await simple(
        sql,
        `CREATE TEMP TABLE t (i int); GRANT SELECT (i), INSERT ON t TO ${role};
         SELECT lo_create(424242); GRANT SELECT ON LARGE OBJECT 424242 TO ${role}`,
      );
      await revoke(ending);
      expect(await afterEnd(ending)).toEqual(NOTHING);
      const [row] = await sql`SELECT count(*)::int AS n FROM t`;
      expect(row).toEqual({ n: 0 });
      await revoke(other);
      await gone(sql);
    });

    test("a stranger's lock on the role is named; login and sessions are gone", async () => {
      const issued = await issue();
      const sql = await holding(issued, "SELECT 1");
      const open = bench.openAgain(
        Object.assign({}, bench.upstream.config, { call_seconds_max: 2 }),
      );
      const session = await customer.sql().reserve();
      const [{ pid }] = await session<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
      await simple(session, `BEGIN; GRANT SELECT ON notes TO "${nameOf(issued)}"`);
      const error = await backendErrorOf(revoke(issued, open));
      expect(error.message).toContain(`process ${pid} of the role postgres`);
      expect(await afterEnd(issued)).toEqual({ ...NOTHING, traces: 1 });
      await session.unsafe("ROLLBACK");
      session.release();
      await revoke(issued, open);
      expect(await afterEnd(issued)).toEqual(NOTHING);
      await gone(sql);
      await open.close();
    });
  });
}
