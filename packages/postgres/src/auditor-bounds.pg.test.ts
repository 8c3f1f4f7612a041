import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  freshDatabase,
  postgresVersionsToTest,
  startPostgres,
  type EmbeddedPostgres,
} from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { checkServer } from "./check-server.ts";
import { migrate } from "./migrate.ts";
import { createTestLedger, TEST_PASSWORDS, type TestLedger } from "./testing/test-ledger.ts";

/** More than a server of this size has room for: some 7,000 by its settings. */
const FILL = "SELECT count(pg_advisory_lock(i)) FROM generate_series(1, 200000) AS i";
const [REFUSED, FULL, TOO_MANY] = ["42501", "53200", "53300"];

const session = (url: string): postgres.Sql =>
  postgres(url, { max: 1, onnotice: () => undefined, connection: { statement_timeout: 60_000 } });

/** The SQLSTATE of what the statement met; `allowed` where nothing. */
async function attempt(sql: postgres.Sql, statement: string): Promise<string> {
  try {
    await sql.unsafe(statement);
    return "allowed";
  } catch (error) {
    if (error instanceof postgres.PostgresError) return error.code;
    throw error;
  }
}

async function once(url: string, statement: string): Promise<string> {
  const sql = session(url);
  try {
    return await attempt(sql, statement);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const found = async (url: string): Promise<ReadonlyMap<string, string>> => {
  const { problems } = await checkServer({ url, clock: systemClock });
  return new Map(
    problems.filter(({ code }) => code.startsWith("auditor_")).map(({ code, fix }) => [code, fix]),
  );
};

async function ledgerIn(server: EmbeddedPostgres, url: string): Promise<TestLedger> {
  const name = new URL(url).pathname.slice(1);
  const urlAs = (user: string, password: string): string => server.url(name, user, password);
  return createTestLedger({ name, url, urlAs });
}

describe.for(postgresVersionsToTest())("on PostgreSQL %s", (version) => {
  let server: EmbeddedPostgres;
  // Its lock table is filled here, and its roles are changed, so it is one of this file's own.
  beforeAll(async () => {
    server = await startPostgres({
      version,
      unsafeNoFsync: true,
      settings: { max_connections: "40" },
    });
  });
  afterAll(() => server.stop("immediate"));

  describe("an auditor", () => {
    test("cannot fill the ledger's lock table with advisory locks", async () => {
      const url = await freshDatabase(server);
      await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
      const ledger = await ledgerIn(server, url);
      const backend = await ledgerFixtures.registerBackend(ledger.ports);
      const auditor = session(ledger.urlOf("mayfly_auditor"));
      expect(await attempt(auditor, FILL)).toBe(REFUSED);
      const functions = await ledger.superuser<{ call: string }[]>`
      SELECT format('%I(%s)', proname, (
        SELECT string_agg('1::' || format_type(t, NULL), ', ') FROM unnest(proargtypes) AS t
      )) AS call
      FROM pg_proc WHERE proname ~ 'advisory' AND proname !~ 'unlock'`;
      expect(functions.length).toBeGreaterThanOrEqual(16);
      for (const { call } of functions) {
        expect([call, await attempt(auditor, `SELECT ${call}`)]).toEqual([call, REFUSED]);
      }
      // What drivers call when they reset a session.
      expect(await attempt(auditor, "SELECT pg_advisory_unlock_all()")).toBe("allowed");
      // The session is still there, and so is room.
      await ledgerFixtures.activeLease(ledger.ports, backend);
      await auditor.end();
      // A control: who may still take them does fill it.
      const other = session(url);
      expect(await attempt(other, FILL)).toBe(FULL);
      await expect(ledgerFixtures.openTask(ledger.ports)).rejects.toMatchObject({
        code: "ledger_unavailable",
      });
      await other.end();
      await ledger.close();
    });

    test("makes no large objects, and takes no more than its share of connections", async () => {
      const url = await freshDatabase(server);
      await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
      const ledger = await ledgerIn(server, url);
      const asAuditor = ledger.urlOf("mayfly_auditor");
      for (const call of ["lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')"]) {
        expect([call, await once(asAuditor, `SELECT ${call}`)]).toEqual([call, REFUSED]);
      }
      const sessions = Array.from({ length: 10 }, () => session(asAuditor));
      for (const each of sessions) expect(await attempt(each, "SELECT 1")).toBe("allowed");
      expect(await once(asAuditor, "SELECT 1")).toBe(TOO_MANY);
      await Promise.all(sessions.map((each) => each.end()));
      // What an operator chose stands, whoever migrates next.
      const limit = async (): Promise<unknown> => {
        const [row] = await ledger.superuser`
        SELECT rolconnlimit FROM pg_roles WHERE rolname = 'mayfly_auditor'`;
        return row?.["rolconnlimit"];
      };
      await ledger.superuser`ALTER ROLE mayfly_auditor CONNECTION LIMIT 25`;
      await migrate({ url, random: systemRandom });
      expect(await limit()).toBe(25);
      await ledger.superuser`ALTER ROLE mayfly_auditor CONNECTION LIMIT -1`;
      await migrate({ url, random: systemRandom });
      expect(await limit()).toBe(10);
      await ledger.close();
    });
  });

  describe("what is taken from everybody", () => {
    test("stays with our roles that need it, and with whom an operator granted it by name", async () => {
      const url = await freshDatabase(server);
      await migrate({ url, random: systemRandom, passwords: TEST_PASSWORDS });
      const name = new URL(url).pathname.slice(1);
      const password = randomBytes(12).toString("hex");
      const superuser = session(url);
      await superuser.unsafe(`CREATE ROLE scheduler LOGIN PASSWORD '${password}'`);
      const take = "SELECT pg_advisory_xact_lock(1)";
      const asScheduler = server.url(name, "scheduler", password);
      expect(await once(asScheduler, take)).toBe(REFUSED);
      await superuser`GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO scheduler`;
      await migrate({ url, random: systemRandom });
      expect(await once(asScheduler, take)).toBe("allowed");
      for (const role of ["mayfly_broker", "mayfly_worker"]) {
        const url = server.url(name, role, "a password of tests");
        expect([role, await once(url, take)]).toEqual([role, "allowed"]);
      }
      // Taken from one of ours, it is given back by the next migrate.
      await superuser`REVOKE EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) FROM mayfly_worker`;
      await migrate({ url, random: systemRandom });
      expect(await once(server.url(name, "mayfly_worker", "a password of tests"), take)).toBe(
        "allowed",
      );
      await superuser.end();
    });

    test("where the migrator may not take it away, doctor names it and the statement that does", async () => {
      const password = randomBytes(12).toString("hex");
      const superuser = session(server.url("postgres"));
      // As a managed server gives it out: it owns the database, and is no superuser.
      await superuser.unsafe(`CREATE ROLE landlord LOGIN CREATEROLE PASSWORD '${password}'`);
      await superuser.unsafe("GRANT mayfly_migrator TO landlord WITH ADMIN OPTION");
      await superuser`CREATE DATABASE rented OWNER landlord`;
      await superuser`ALTER ROLE mayfly_auditor CONNECTION LIMIT -1`;
      const url = server.url("rented", "landlord", password);
      expect((await migrate({ url, random: systemRandom })).applied).not.toEqual([]);
      const asBroker = server.url("rented", "mayfly_broker", "a password of tests");
      const open = await found(asBroker);
      expect([...open.keys()]).toEqual([
        "auditor_locks_open",
        "auditor_large_objects_open",
        // Until PostgreSQL 16, who may make roles may change all of them.
        ...(version < 16 ? [] : ["auditor_connections_open"]),
        "auditor_logs_in_elsewhere",
      ]);
      const asAuditor = server.url("rented", "mayfly_auditor", "a password of tests");
      expect(await once(asAuditor, "SELECT pg_advisory_lock(1)")).toBe("allowed");
      const owner = session(server.url("rented"));
      for (const statement of open.values()) await owner.unsafe(statement);
      expect([...(await found(asBroker))]).toEqual([]);
      expect(await once(asAuditor, "SELECT pg_advisory_lock(1)")).toBe(REFUSED);
      expect(
        await once(server.url("postgres", "mayfly_auditor", "a password of tests"), FILL),
      ).toBe(REFUSED);
      // And the owner's next migrate leaves it so.
      await migrate({ url, random: systemRandom });
      expect([...(await found(asBroker))]).toEqual([]);
      await Promise.all([owner.end(), superuser.end()]);
    });

    test("is nothing to find where nobody is an auditor", async () => {
      const alone = await startPostgres({ version, unsafeNoFsync: true });
      const url = await freshDatabase(alone);
      await migrate({ url, random: systemRandom });
      expect([...(await found(url))]).toEqual([]);
      await alone.stop("immediate");
    });
  });
});
