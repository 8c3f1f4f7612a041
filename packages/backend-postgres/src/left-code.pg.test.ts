import { plusSeconds, type OpenBackend } from "@mayfly/spec";
import { freshLeaseId, revoking } from "@mayfly/testkit/contract";
import { accountOf, testedPostgresVersions } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

/** As one that was upgraded from 14 or older still is: everybody may create in `public`. */
const LEGACY = "legacy";

for (const version of testedPostgresVersions()) {
  describe(`code that a lease leaves behind on PostgreSQL ${version}`, () => {
    let started: PostgresBench;
    let customer: PostgresBench["customer"];
    let bench: PostgresBench["bench"];
    let open: OpenBackend;
    beforeAll(async () => {
      started = await startPostgresBench({ version });
      ({ customer, bench } = started);
      open = bench.open;
      await customer.sql().unsafe(`CREATE DATABASE ${LEGACY}`);
      await customer
        .sql(LEGACY)
        .unsafe(
          `GRANT CREATE ON SCHEMA public TO PUBLIC; CREATE TABLE secrets (word text);
           INSERT INTO secrets VALUES ('hidden'); ALTER TABLE secrets OWNER TO orders_owner`,
        )
        .simple();
    });
    afterAll(() => started.stop());

    async function lease(owner?: string) {
      const plan = bench.backend.plan({
        installation: bench.host.installation,
        leaseId: freshLeaseId(),
        expiresAt: plusSeconds(bench.upstream.clock.now(), 60),
        role: bench.backend.parseRole({ member_of: "orders_reader", ...(owner && { owner }) }),
        params: {},
        holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
      });
      const issued = await open.issue(plan, bench.issueCall());
      return {
        end: () => revoking(open).revoke(issued.handle, bench.call()),
        /** Each statement's rows, or why it was refused. */
        run: async (text: string): Promise<unknown> => {
          const sql = customer.connect(...accountOf(issued.material), LEGACY);
          try {
            return await sql.unsafe(text).simple();
          } catch (thrown) {
            return thrown instanceof Error ? thrown.message : thrown;
          } finally {
            await sql.end({ timeout: 0 });
          }
        },
      };
    }
    const loginsMade = async () =>
      (
        await customer.sql()`SELECT rolname::text AS name FROM pg_roles
        WHERE rolname LIKE 'backdoor%'`
      ).map(({ name }) => String(name));
    const makesLogin = (name: string) =>
      `CREATE ROLE ${name} LOGIN PASSWORD 'x' IN ROLE orders_writer;`;

    test("never becomes the broker's: a later lease would make itself a login by it", async () => {
      const first = await lease();
      const made = await first.run(`CREATE FUNCTION door() RETURNS void LANGUAGE plpgsql
        SECURITY DEFINER AS $$ BEGIN ${makesLogin("backdoor_function")} END $$`);
      expect(made).toEqual([]);
      await first.end();
      const next = await lease();
      expect(await next.run("SELECT door()")).toMatch(/does not exist/);
      expect(await loginsMade()).toEqual([]);
      await next.end();
    });

    test("is not run by the broker that comes to clean up", async () => {
      const first = await lease();
      // Between these two types the server itself has no operator, so that this one fits best.
      const made = await first.run(`CREATE FUNCTION trap(oid, regclass) RETURNS boolean
          LANGUAGE plpgsql AS $$ BEGIN ${makesLogin("backdoor_operator")} RETURN true; END $$;
        CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = trap)`);
      expect(made).toEqual([]);
      await first.end();
      expect(await loginsMade()).toEqual([]);
    });

    test("never becomes its owner's: views, rules and triggers go, and its tables stay", async () => {
      const first = await lease("orders_owner");
      const made = await first.run(`
        CREATE TABLE kept (word text); GRANT ALL ON kept TO PUBLIC; INSERT INTO kept VALUES ('a');
        CREATE VIEW spy AS SELECT * FROM secrets; GRANT SELECT ON spy TO PUBLIC;
        CREATE MATERIALIZED VIEW copied AS SELECT * FROM kept;
        CREATE RULE spies AS ON INSERT TO kept DO ALSO DELETE FROM secrets;
        CREATE FUNCTION acts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER acts AFTER DELETE ON kept EXECUTE FUNCTION acts();
        CREATE PROCEDURE "od d"("x y" int) LANGUAGE sql AS 'SELECT 1';
        CREATE AGGREGATE many(int) (SFUNC = int4pl, STYPE = int);
        CREATE FUNCTION twice(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || $1';
        CREATE INDEX ON kept (twice(word))`);
      expect(made).not.toEqual(expect.any(String));
      await first.end();
      const next = await lease();
      expect(await next.run("SELECT * FROM spy")).toMatch(/does not exist/);
      await next.run("INSERT INTO kept VALUES ('b')");
      const admin = customer.sql(LEGACY);
      expect(await admin`SELECT word FROM secrets`).toEqual([{ word: "hidden" }]);
      expect(await admin`SELECT word FROM kept ORDER BY word`).toEqual([
        { word: "a" },
        { word: "b" },
      ]);
      expect(
        await admin`SELECT tableowner::text AS owner FROM pg_tables WHERE tablename = 'kept'`,
      ).toEqual([{ owner: "orders_owner" }]);
      const left = await admin`SELECT proname::text AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal`;
      expect(left).toEqual([]);
      await next.end();
    });

    test("goes with what others hung on it, more of it than one batch", async () => {
      const [first, other] = [await lease(), await lease()];
      await first.run(`DO $$ BEGIN FOR n IN 1..250 LOOP
        EXECUTE format('CREATE FUNCTION f%s() RETURNS int LANGUAGE sql AS ''SELECT 1''', n);
        END LOOP; END $$`);
      expect(await other.run("CREATE VIEW leans AS SELECT f1() AS n")).toEqual([]);
      await first.end();
      expect(await other.run("SELECT * FROM leans")).toMatch(/does not exist/);
      await other.end();
    });
  });
}
