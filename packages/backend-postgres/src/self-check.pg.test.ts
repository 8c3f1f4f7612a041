import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "@mayfly/host";
import type { CheckProblem } from "@mayfly/spec";
import { BackendBench } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  testedPostgresVersions,
  type CustomerPostgres,
  type CustomerUpstream,
} from "@mayfly/testkit/vitest";
import { postgresBackend } from "./postgres-backend.ts";

interface Trouble {
  readonly code: string;
  /** What an administrator did wrong. */
  readonly wrong: string;
  /** For what the fix leaves to a person, or what it does not undo. */
  readonly after?: string;
  /** Versions that know this right; default all. */
  readonly from?: number;
  readonly owner?: string;
  /** Which fix to run; default: the one that selfCheck gives. */
  readonly instead?: string;
}

/** One of each kind of object; `$` is the grantee. */
const GRANT_OPTIONS = [
  "GRANT SELECT, UPDATE ON notes TO $",
  "GRANT SELECT (body) ON notes TO $",
  'CREATE TABLE "Odd.name" (i int); GRANT INSERT ON "Odd.name" TO $',
  "CREATE SEQUENCE numbers; GRANT USAGE ON SEQUENCE numbers TO $",
  "CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i'; " +
    "GRANT EXECUTE ON FUNCTION twice TO $",
  "CREATE SCHEMA apart; GRANT USAGE ON SCHEMA apart TO $",
  "GRANT TEMPORARY ON DATABASE orders TO $",
  "CREATE TYPE colour AS ENUM ('red'); GRANT USAGE ON TYPE colour TO $",
  "GRANT USAGE ON LANGUAGE plpgsql TO $",
  "CREATE FOREIGN DATA WRAPPER wrapper; GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO $",
  "CREATE SERVER elsewhere FOREIGN DATA WRAPPER wrapper; " +
    "GRANT USAGE ON FOREIGN SERVER elsewhere TO $",
  "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO $",
  "GRANT SET ON PARAMETER log_statement TO $",
] as const;

const TROUBLES: readonly Trouble[] = [
  { code: "createrole_missing", wrong: "ALTER ROLE mayfly_broker NOCREATEROLE" },
  { code: "signal_backend_missing", wrong: "REVOKE pg_signal_backend FROM mayfly_broker" },
  {
    code: "group_role_admin_missing",
    wrong: "REVOKE ADMIN OPTION FOR orders_reader FROM mayfly_broker CASCADE",
    from: 16,
  },
  { code: "owner_membership_missing", wrong: "REVOKE orders_owner FROM mayfly_broker" },
  {
    code: "owner_membership_missing",
    wrong: "GRANT orders_owner TO mayfly_broker WITH INHERIT FALSE",
    from: 16,
  },
  {
    code: "owner_membership_missing",
    wrong: "GRANT orders_owner TO mayfly_broker WITH SET FALSE",
    from: 16,
  },
  {
    code: "broker_cannot_connect",
    wrong:
      "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC; " +
      "GRANT CONNECT ON DATABASE template1 TO orders_reader",
  },
  { code: "owner_missing", wrong: "SELECT 1", owner: 'no "such" owner' },
  { code: "group_role_superuser", wrong: "ALTER ROLE orders_reader SUPERUSER" },
  { code: "group_role_createrole", wrong: "ALTER ROLE orders_reader CREATEROLE" },
  { code: "group_role_createdb", wrong: "ALTER ROLE orders_reader CREATEDB" },
  { code: "group_role_bypassrls", wrong: "ALTER ROLE orders_reader BYPASSRLS" },
  { code: "group_role_replication", wrong: "ALTER ROLE orders_reader REPLICATION" },
  {
    code: "group_role_reaches_server",
    wrong: "GRANT pg_execute_server_program TO orders_reader",
  },
  {
    code: "group_role_reaches_server",
    wrong:
      "CREATE ROLE between_; GRANT pg_read_server_files TO between_; GRANT between_ TO orders_reader",
    instead: "REVOKE between_ FROM orders_reader; DROP ROLE between_",
  },
  {
    code: "group_role_owns_objects",
    wrong: "CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO orders_reader",
    instead: "REASSIGN OWNED BY orders_reader TO orders_owner",
  },
  {
    code: "group_role_default_privileges",
    wrong:
      "ALTER DEFAULT PRIVILEGES FOR ROLE orders_reader GRANT SELECT ON TABLES TO PUBLIC; " +
      "ALTER DEFAULT PRIVILEGES FOR ROLE orders_reader IN SCHEMA public " +
      "GRANT SELECT ON SEQUENCES TO orders_owner",
  },
  { code: "group_role_creates_in_schema", wrong: "GRANT CREATE ON SCHEMA public TO orders_reader" },
  { code: "group_role_creates_in_schema", wrong: "GRANT CREATE ON SCHEMA public TO PUBLIC" },
  {
    code: "group_role_creates_in_database",
    wrong: "GRANT CREATE ON DATABASE orders TO orders_reader",
  },
  {
    code: "group_role_admin_option",
    wrong: 'CREATE ROLE "an other"; GRANT "an other" TO orders_reader WITH ADMIN OPTION',
  },
  {
    code: "group_role_admin_option",
    wrong:
      "CREATE ROLE far; CREATE ROLE nearer; GRANT far TO nearer WITH ADMIN OPTION; " +
      "GRANT nearer TO orders_reader",
  },
  ...GRANT_OPTIONS.map((grant) => ({
    code: "group_role_grant_option",
    wrong: grant.replace("$", "orders_reader WITH GRANT OPTION"),
  })),
  {
    code: "group_role_grant_option",
    wrong:
      "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner " +
      "GRANT ALL ON SEQUENCES TO orders_reader WITH GRANT OPTION",
  },
  {
    code: "group_role_grant_option",
    wrong:
      "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner IN SCHEMA public " +
      "GRANT EXECUTE ON ROUTINES TO orders_writer WITH GRANT OPTION",
  },
  {
    code: "group_role_grant_option",
    wrong:
      "CREATE ROLE between_two; GRANT SELECT ON notes TO between_two WITH GRANT OPTION; " +
      "SET ROLE between_two; GRANT SELECT ON notes TO orders_reader WITH GRANT OPTION; RESET ROLE",
  },
  { code: "group_role_makes_triggers", wrong: "GRANT TRIGGER ON orders TO orders_reader" },
  { code: "group_role_makes_triggers", wrong: "GRANT TRIGGER ON orders TO PUBLIC" },
  { code: "group_role_makes_references", wrong: "GRANT REFERENCES ON notes TO orders_writer" },
  {
    code: "group_role_makes_references",
    wrong: "GRANT REFERENCES (id, body) ON notes TO orders_writer",
  },
  {
    code: "group_role_restricted",
    wrong:
      'CREATE POLICY "own only" ON notes AS RESTRICTIVE FOR SELECT TO orders_reader USING (false)',
  },
  {
    code: "group_role_restricted",
    wrong:
      "CREATE ROLE restrained; GRANT restrained TO orders_writer; " +
      "CREATE POLICY restrained ON notes AS RESTRICTIVE TO restrained USING (false)",
  },
  {
    code: "group_role_cannot_connect",
    wrong:
      "REVOKE CONNECT ON DATABASE orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO mayfly_broker, orders_writer",
  },
];

for (const version of testedPostgresVersions()) {
  describe(`the self-check on PostgreSQL ${version}`, () => {
    let customer: CustomerPostgres;
    let upstream: CustomerUpstream;
    let bench: BackendBench;
    beforeAll(async () => {
      customer = await startCustomerPostgres({ version });
      upstream = customerUpstream(customer, { clock: systemClock, random: systemRandom });
      bench = new BackendBench({ backend: postgresBackend }, upstream);
    });
    afterAll(async () => {
      await bench.open.close();
      await customer.stop();
    });
    const problems = async (owner = "orders_owner"): Promise<readonly CheckProblem[]> => {
      const role = postgresBackend.parseRole({
        member_of: ["orders_reader", "orders_writer"],
        owner,
      });
      return (await bench.open.selfCheck([role], bench.call())).problems;
    };

    test.each(TROUBLES.filter(({ from }) => version >= (from ?? 0)))(
      "finds $code after $wrong, and its fix helps",
      async ({ code, wrong, owner, instead }) => {
        expect(await problems()).toEqual([]);
        await customer.sql().unsafe(wrong).simple();
        const found = await problems(owner);
        expect(found.map((problem) => problem.code)).toContain(code);
        for (const problem of found) {
          await customer
            .sql()
            .unsafe(instead ?? problem.fix)
            .simple();
          if (instead !== undefined) break;
        }
        expect(await problems(owner)).toEqual([]);
      },
    );

    test("names the cluster, measures the clock, and leaves no trace", async () => {
      const role = postgresBackend.parseRole(upstream.role);
      const checked = await bench.open.selfCheck([role], bench.call());
      const [row] = await customer.sql()<{ id: string }[]>`
        SELECT system_identifier::text AS id FROM pg_control_system()`;
      expect(checked.upstreamIdentity).toBe(`${row?.id}/orders`);
      expect(Math.abs(checked.clockSkewMs ?? 1e9)).toBeLessThan(10_000);
      expect(checked.facts).toMatchObject({ superuser: false });
      expect(await customer.sql()`SELECT 1 FROM pg_roles WHERE rolname ~ '^mf_'`).toEqual([]);
    });

    test("to a superuser, a login under way hides nobody's session", async () => {
      const { host, port } = customer.server;
      const startup = Buffer.from("\0\0\0\0\0\x03\0\0user\0orders_owner\0database\0orders\0\0");
      startup.writeInt32BE(startup.length);
      const socket = connect(port, host).on("error", () => undefined);
      socket.write(startup);
      // It is asked for its password, which never comes.
      await once(socket, "data");
      const { username, password } = new URL(customer.server.url("orders"));
      const open = bench.openAgain(Object.assign({}, upstream.config, { username, password }));
      try {
        const codes = (await open.selfCheck([], bench.call())).problems.map(({ code }) => code);
        expect(codes).not.toContain("sessions_not_visible");
      } finally {
        socket.destroy();
        await open.close();
      }
    });

    test("the statements of the documentation are enough, and no superuser", async () => {
      const page = await readFile(
        new URL("../../../docs/backends/postgres.md", import.meta.url),
        "utf8",
      );
      const block = [...page.matchAll(/```sql\n-- PostgreSQL ([0-9, ]+)\n([^`]+)```/g)].find(
        ([, versions]) => versions?.split(", ").includes(String(version)),
      );
      // The names of the page are taken on this server.
      const statements = String(block?.[2])
        .replaceAll(/\borders_(reader|owner)\b/g, "page_$1")
        .replaceAll("mayfly_orders", "page_broker");
      expect(statements).toContain("CREATE ROLE page_broker");
      await customer.sql().unsafe(statements).simple();
      const broker = { username: "page_broker", password: "choose-one" };
      const open = bench.openAgain(Object.assign({}, upstream.config, broker));
      const role = postgresBackend.parseRole({ member_of: "page_reader", owner: "page_owner" });
      const checked = await open.selfCheck([role], bench.call());
      expect(checked.problems).toEqual([]);
      expect(checked.facts["superuser"]).toBe(false);
      await open.close();
    });

    test("a standby that is none of this primary, or does not answer, is a problem", async () => {
      const { host, port } = customer.server;
      const standbys = [
        { host, port },
        { host, port: 1 },
      ];
      const open = bench.openAgain(
        Object.assign({}, upstream.config, { standbys, call_seconds_max: 1 }),
      );
      const checked = await open.selfCheck([], bench.call());
      expect(checked.problems.map(({ code }) => code)).toEqual([
        "standby_of_another",
        "standby_unreachable",
      ]);
      await open.close();
    });
  });
}
