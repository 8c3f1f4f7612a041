import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { plusSeconds, type IssuePlan, type Issued } from "@mayfly/spec";
import { backendErrorOf, CONTRACT_HOLDER, freshLeaseId, revoking } from "@mayfly/testkit/contract";
import {
  accountOf,
  testedPostgresVersions,
  tryLogin,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import { readHandle } from "./lease-mark.ts";
import { postgresBackend } from "./postgres-backend.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

for (const version of testedPostgresVersions()) {
  describe(`a lease on PostgreSQL ${version}`, () => {
    const serverLog: string[] = [];
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let upstream: PostgresBench["upstream"];
    let bench: PostgresBench["bench"];

    beforeAll(async () => {
      started = await startPostgresBench({
        version,
        settings: { log_statement: "all", log_min_error_statement: "error" },
        log: (line) => serverLog.push(line),
      });
      ({ customer, upstream, bench } = started);
    });
    afterAll(() => started.stop());

    const planOf = (role: object, params: object = {}): IssuePlan =>
      postgresBackend.plan({
        installation: bench.host.installation,
        leaseId: freshLeaseId(),
        expiresAt: plusSeconds(systemClock.now(), 60),
        role: postgresBackend.parseRole(role),
        params: postgresBackend.parseParams(params),
        holder: CONTRACT_HOLDER,
      });
    const issue = (plan: IssuePlan, open = bench.open): Promise<Issued> =>
      open.issue(plan, bench.issueCall());
    const revoke = (issued: Issued, open = bench.open) =>
      revoking(open).revoke(issued.handle, bench.call());
    const openWith = (more: object) => bench.openAgain(Object.assign({}, upstream.config, more));
    async function asLease<T>(
      issued: Issued,
      work: (sql: ReturnType<CustomerPostgres["connect"]>) => Promise<T>,
      database?: string,
    ): Promise<T> {
      const sql = customer.connect(...accountOf(issued.material), database);
      try {
        return await work(sql);
      } finally {
        await sql.end({ timeout: 1 });
      }
    }
    const sqlstateOf = (work: PromiseLike<unknown>): Promise<unknown> =>
      Promise.resolve(work).then(
        () => "succeeded",
        (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
      );
    const oidOf = ({ handle }: Issued): number => readHandle(handle).oid;
    const traces = async (issued: Issued): Promise<number> => {
      const oid = oidOf(issued);
      const [row] = await customer.sql()<{ n: number }[]>`
        SELECT (SELECT count(*) FROM pg_roles WHERE oid = ${oid})::int
          + (SELECT count(*) FROM pg_stat_activity WHERE usesysid = ${oid})::int
          + (SELECT count(*) FROM pg_shdepend
               WHERE refclassid = 'pg_authid'::regclass AND refobjid = ${oid})::int AS n`;
      return row?.n ?? -1;
    };

    test("a reader reads, and PostgreSQL refuses it everything else", async () => {
      const issued = await issue(planOf({ member_of: "orders_reader" }));
      await asLease(issued, async (sql) => {
        expect(await sql`SELECT id FROM orders ORDER BY id`).toHaveLength(3);
        expect(await sqlstateOf(sql`DELETE FROM orders`)).toBe("42501");
        expect(await sqlstateOf(sql`SELECT * FROM notes`)).toBe("42501");
        expect(await sqlstateOf(sql`CREATE TABLE mine (id int)`)).toBe("42501");
        expect(await sqlstateOf(sql`CREATE ROLE another`)).toBe("42501");
        // 15 has no SET option: membership lets a lease become its group, no more than it is.
        expect(await sqlstateOf(sql`SET ROLE orders_reader`)).toBe(
          version >= 16 ? "42501" : "succeeded",
        );
      });
      await revoke(issued);
      expect(await traces(issued)).toBe(0);
    });

    test("the conveniences of a role are set, and narrowed by the request", async () => {
      const role = {
        member_of: "orders_reader",
        connection_limit: 2,
        search_path: ["o'p", 'public"x'],
        statement_timeout_seconds: 60,
      };
      const plan = planOf(role, {
        connection_limit: 1,
        statement_timeout_seconds: 7,
        read_only: true,
      });
      const issued = await issue(plan);
      await asLease(issued, async (sql) => {
        const [row] = await sql`SELECT current_setting('search_path') AS path,
          current_setting('statement_timeout') AS timeout,
          current_setting('default_transaction_read_only') AS read_only`;
        expect(row).toEqual({ path: `"o'p", "public""x"`, timeout: "7s", read_only: "on" });
        expect(await tryLogin(customer, issued.material)).toBe("refused");
      });
      await revoke(issued);
    });

    test("verifiers of one round and of 4096 both let in, and no clear password is logged", async () => {
      for (const iterations of [1, 4096]) {
        const open = openWith({ scram_iterations: iterations });
        const issued = await issue(bench.plan(), open);
        expect(await tryLogin(customer, issued.material)).toBe("accepted");
        const [row] = await customer.sql()<{ password: string }[]>`
          SELECT rolpassword AS password FROM pg_authid WHERE oid = ${oidOf(issued)}`;
        expect(row?.password).toMatch(new RegExp(`^SCRAM-SHA-256\\$${iterations}:`));
        const [, password] = accountOf(issued.material);
        expect(serverLog.join("\n")).toContain(`SCRAM-SHA-256$${iterations}:`);
        expect(serverLog.join("\n")).not.toContain(password);
        await revoke(issued, open);
        await open.close();
      }
    });

    test("names that try to end their quotation are names", async () => {
      const hostile = `g"; DROP TABLE orders; --'$mf$\\`;
      const quoted = `"${hostile.replaceAll('"', '""')}"`;
      await customer.sql().unsafe(`CREATE ROLE ${quoted} NOLOGIN`);
      await customer.sql().unsafe(`GRANT SELECT ON orders TO ${quoted}`);
      await customer.sql().unsafe(`GRANT ${quoted} TO mayfly_broker WITH ADMIN OPTION`);
      const issued = await issue(planOf({ member_of: hostile, search_path: [hostile] }));
      await asLease(issued, async (sql) => {
        expect(await sql`SELECT id FROM public.orders`).toHaveLength(3);
      });
      await revoke(issued);
      expect(await traces(issued)).toBe(0);
    });

    test("what a lease changed without any right of its own does not keep its role", async () => {
      const issued = await issue(planOf({ member_of: "orders_reader", owner: "orders_owner" }));
      const lo = await asLease(issued, async (sql) => {
        await sql`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC`;
        await sql`CREATE TEMPORARY TABLE scratch (id int)`;
        const [row] = await sql<{ lo: number }[]>`SELECT lo_create(0)::int8::int AS lo`;
        return row?.lo ?? 0;
      });
      await revoke(issued);
      expect(await traces(issued)).toBe(0);
      const [row] = await customer.sql()`
        SELECT pg_get_userbyid(lomowner)::text AS owner FROM pg_largeobject_metadata
        WHERE oid = ${lo}`;
      expect(row).toEqual({ owner: "orders_owner" });
    });

    test("what it owns in other databases goes to the owner, or is dropped if so configured", async () => {
      await customer.sql("postgres").unsafe(`CREATE DATABASE "arch""ive"`);
      const archive = customer.sql('arch"ive');
      for (const [mode, owner] of [
        ["reassign", "orders_owner"],
        ["drop", undefined],
      ] as const) {
        const open = openWith({ on_owned_objects: mode });
        const issued = await issue(
          planOf({ member_of: "orders_reader", owner: "orders_owner" }),
          open,
        );
        const [name] = accountOf(issued.material);
        await archive.unsafe(`CREATE TABLE kept_${mode} (id int)`);
        await archive.unsafe(`ALTER TABLE kept_${mode} OWNER TO "${name}"`);
        await revoke(issued, open);
        expect(await traces(issued)).toBe(0);
        const [row] = await archive`SELECT tableowner::text AS owner FROM pg_tables
          WHERE tablename = ${`kept_${mode}`}`;
        expect(row?.["owner"]).toBe(owner);
        await open.close();
      }
    });

    test("a prepared transaction is rolled back, and does not hang the end", async () => {
      const issued = await issue(planOf({ member_of: "orders_writer", owner: "orders_owner" }));
      await asLease(issued, async (sql) => {
        await sql
          .unsafe("BEGIN; INSERT INTO orders VALUES (9, 'x'); PREPARE TRANSACTION 'it''s \"so\"'")
          .simple();
      });
      const before = await revoking(bench.open).probe(issued.handle, bench.call());
      expect(before.looked["prepared"]).toBe(1);
      await revoke(issued);
      expect(await customer.sql()`SELECT gid FROM pg_prepared_xacts`).toEqual([]);
      expect(await customer.sql()`SELECT id FROM orders WHERE id = 9`).toEqual([]);
      expect(await traces(issued)).toBe(0);
    });

    test("a role that somebody renamed is ended by its OID", async () => {
      const issued = await issue(bench.plan());
      const [name] = accountOf(issued.material);
      await customer.sql().unsafe(`ALTER ROLE "${name}" RENAME TO "renamed ""role"`);
      await revoke(issued);
      expect(await traces(issued)).toBe(0);
    });

    test("a role of our name that is not ours is left alone, and said", async () => {
      const issued = await issue(bench.plan());
      const [name] = accountOf(issued.material);
      await customer.sql().unsafe(`DROP ROLE "${name}"; CREATE ROLE "${name}"`).simple();
      await revoke(issued);
      expect((await revoking(bench.open).probe(issued.handle, bench.call())).verdict).toBe(
        "refused",
      );
      expect(upstream.log.messages("warn")).toContain(
        "a role bears a lease's name with another OID; it is left alone",
      );
      expect(await customer.sql()`SELECT 1 FROM pg_roles WHERE rolname = ${name}`).toHaveLength(1);
      await customer.sql().unsafe(`DROP ROLE "${name}"`);
    });

    test("a batch with one bad mint issues all the others", async () => {
      await customer.sql().unsafe("CREATE ROLE no_admin NOLOGIN");
      const plans = Array.from({ length: 20 }, (_, n) =>
        planOf({ member_of: n === 7 ? "no_such_group" : n === 13 ? "no_admin" : "orders_reader" }),
      );
      const outcomes = await Promise.allSettled(plans.map((plan) => issue(plan)));
      const failed = outcomes.flatMap((outcome, n) => (outcome.status === "rejected" ? [n] : []));
      // Until 15, CREATEROLE hands out any role that is no superuser.
      expect(failed).toEqual(version >= 16 ? [7, 13] : [7]);
      for (const n of failed) {
        expect(outcomes[n]).toMatchObject({ status: "rejected", reason: { effect: "none" } });
      }
      await Promise.all(
        outcomes.map((o) => (o.status === "fulfilled" ? revoke(o.value) : Promise.resolve())),
      );
      expect(
        await Promise.all(
          plans.map(
            (p) => customer.sql()`
        SELECT 1 FROM pg_roles WHERE rolname = ${p.externalName}`,
          ),
        ),
      ).toEqual(plans.map(() => []));
    });

    test("two brokers that grant two groups in opposite order do not fail each other", async () => {
      const other = bench.openAgain();
      const shapes = [
        ["orders_reader", "orders_writer"],
        ["orders_writer", "orders_reader"],
        ["orders_writer"],
        ["orders_reader"],
      ];
      const issued = await Promise.all(
        Array.from({ length: 48 }, (_, n) =>
          issue(planOf({ member_of: shapes[n % shapes.length] }), n % 2 === 0 ? bench.open : other),
        ),
      );
      expect(new Set(issued.map(oidOf)).size).toBe(48);
      await Promise.all(issued.map((one, n) => revoke(one, n % 3 === 0 ? other : bench.open)));
      for (const one of issued) expect(await traces(one)).toBe(0);
      await other.close();
    });

    test("what others granted to the role itself is said, and the credential is dead", async () => {
      const issued = await issue(bench.plan());
      const [name] = accountOf(issued.material);
      await customer.sql().unsafe(`GRANT SELECT ON notes TO "${name}"`);
      const error = await backendErrorOf(revoke(issued));
      expect(error.message).toContain(`DROP OWNED BY "${name}"`);
      expect(await tryLogin(customer, issued.material)).toBe("refused");
      await customer.sql().unsafe(`DROP OWNED BY "${name}"`);
      await revoke(issued);
      expect(await traces(issued)).toBe(0);
    });

    test("a lease that has expired is not renewed back to life", async () => {
      const issued = await issue(bench.plan(4));
      await systemClock.sleep(4_100);
      const { renewal } = bench.open;
      if (renewal.kind === "none") throw new Error("no renewal");
      const plan = bench.plan();
      const renewing = renewal.extend(plan, issued.handle, plan.expiresAt, bench.issueCall());
      expect((await backendErrorOf(renewing)).effect).toBe("none");
      expect(await tryLogin(customer, issued.material)).toBe("refused");
      await revoke(issued);
    });

    test("standbys are looked at too, and one that does not answer is an error", async () => {
      const { host, port } = customer.server;
      const seen = openWith({ standbys: [{ host, port }] });
      const issued = await issue(bench.plan(), seen);
      const probed = await revoking(seen).probe(issued.handle, bench.call());
      expect(probed).toMatchObject({
        verdict: "accepted",
        looked: { endpoints: 2, standbys: [{ endpoint: `${host}:${port}`, roles_that_log_in: 1 }] },
      });
      const blind = openWith({ standbys: [{ host, port: 1 }], call_seconds_max: 1 });
      await backendErrorOf(revoking(blind).probe(issued.handle, bench.call()));
      await backendErrorOf(revoking(blind).revoke(issued.handle, bench.call()));
      await revoke(issued, seen);
      expect((await revoking(seen).probe(issued.handle, bench.call())).verdict).toBe("refused");
      await Promise.all([seen.close(), blind.close()]);
    });

    test("neither log nor errors show a password or a verifier", async () => {
      const wrong = openWith({ password: "canary-wrong-password" });
      const error = await backendErrorOf(issue(bench.plan(), wrong));
      const shown = `${error.message} ${String(error.cause)} ${JSON.stringify(error)}`;
      expect(shown).not.toMatch(/canary|SCRAM-SHA-256\$/);
      expect(error.effect).toBe("none");
      upstream.log.assertNoSecret("canary-wrong-password", customer.broker.password);
      await wrong.close();
    });
  });
}
