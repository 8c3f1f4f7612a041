import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemRandom } from "@mayfly/host";
import { durationSeconds } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { migrate } from "./migrate.ts";
import { lockHistory } from "./history-lock.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
  const backend = await ledgerFixtures.registerBackend(ledger.ports);
  await ledgerFixtures.activeLease(ledger.ports, backend);
  await ledger.worker.sequencer.append(100);
});
afterAll(() => ledger.close());

const ROLES = ["mayfly_broker", "mayfly_worker", "mayfly_auditor"] as const;
type Role = (typeof ROLES)[number];

async function attempt(role: Role, statement: string): Promise<string> {
  const sql = postgres(ledger.urlOf(role), { max: 1, onnotice: () => undefined });
  try {
    await sql.begin(async (tx) => {
      await tx.unsafe(statement);
      throw new Error("roll back");
    });
    return "committed";
  } catch (error) {
    if (error instanceof postgres.PostgresError) return error.code;
    return "allowed";
  } finally {
    await sql.end();
  }
}
const REFUSED = "42501";

async function privileges(privilege: string): Promise<readonly string[]> {
  const found = await ledger.superuser<{ holder: string }[]>`
    SELECT r.rolname || ' ' || c.relname AS holder
    FROM pg_roles AS r, pg_class AS c
    WHERE r.rolname IN ${ledger.superuser(ROLES)} AND c.relkind IN ('r', 'p', 'v')
      AND c.relnamespace IN ('mayfly'::regnamespace, 'mayfly_audit'::regnamespace)
      AND has_table_privilege(r.rolname, c.oid, ${privilege})
    ORDER BY 1`;
  return found.map((row) => row.holder);
}

describe("grants", () => {
  test.for(["DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"])(
    "nobody has %s on anything",
    async (each) => {
      expect(await privileges(each)).toEqual([]);
    },
  );

  test.for(["events", "decisions", "log_entries"])(
    "nobody, the migrator included, changes or removes mayfly.%s",
    async (table) => {
      const rows = await ledger.superuser`
        SELECT r.rolname, p.privilege FROM pg_roles AS r,
          unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege), pg_class AS c
        WHERE r.rolname LIKE 'mayfly\\_%' AND c.relnamespace = 'mayfly'::regnamespace
          AND (c.relname = ${table} OR c.relname ~ ${`^${table}_(default|\\d{4}_\\d{2})$`})
          AND (has_table_privilege(r.rolname, c.oid, p.privilege)
            OR (p.privilege = 'UPDATE' AND has_any_column_privilege(r.rolname, c.oid, 'UPDATE')))`;
      expect(rows).toEqual([]);
      for (const role of ROLES) {
        expect(await attempt(role, `DELETE FROM mayfly.${table}`)).toBe(REFUSED);
        expect(await attempt(role, `TRUNCATE mayfly.${table}`)).toBe(REFUSED);
      }
    },
  );

  test("what says what a task or a lease is cannot be rewritten", async () => {
    for (const role of ["mayfly_broker", "mayfly_worker"] as const) {
      for (const change of [
        "UPDATE mayfly.tasks SET workload_name = 'x'",
        "UPDATE mayfly.tasks SET descriptor = '{}'",
        "UPDATE mayfly.tasks SET deadline_at = now() + interval '1 day'",
        "UPDATE mayfly.leases SET task_id = NULL",
        "UPDATE mayfly.leases SET plan = '{}'",
        "UPDATE mayfly.leases SET decision_id = NULL",
        "UPDATE mayfly.task_end_requests SET reason = 'x'",
        "UPDATE mayfly.schema_versions SET checksum = 'x'",
        "UPDATE mayfly.installation SET id = 'aaaaaaaa'",
        "DELETE FROM mayfly.events_pending",
        "UPDATE mayfly.one_time_tokens SET expires_at = now()",
        "UPDATE mayfly.signing_keys SET public_jwk = '{}'",
        "UPDATE mayfly.backend_signing_keys SET public_jwk = '{}'",
        "UPDATE mayfly.backend_signing_keys SET backend_id = 'x'",
        "UPDATE mayfly.backend_revisions SET described_config = '{}'",
        "INSERT INTO mayfly.log_cuts SELECT * FROM mayfly.log_cuts",
        "UPDATE mayfly.log_cuts SET log_index = 1",
      ]) {
        expect([change, await attempt(role, change)]).toEqual([change, REFUSED]);
      }
    }
  });

  test("nobody chooses the id or the instant of an event", async () => {
    const rest = `'lease.ended', '{"kind": "system", "name": "worker"}', '{}'`;
    for (const role of ["mayfly_broker", "mayfly_worker"] as const) {
      for (const [column, value] of [
        ["id", "mayfly.uuid7()"],
        ["at", "date_trunc('second', now())"],
      ]) {
        const chosen = `INSERT INTO mayfly.events (${column}, kind, actor, data)
          VALUES (${value}, ${rest})`;
        expect([chosen, await attempt(role, chosen)]).toEqual([chosen, REFUSED]);
      }
      const given = `INSERT INTO mayfly.events (kind, actor, data) VALUES (${rest})`;
      expect(await attempt(role, given)).toBe("allowed");
    }
  });

  test("only the worker appends to the log, and takes from its queue only what is in it", async () => {
    const insert = `INSERT INTO mayfly.log_entries VALUES (1000, gen_random_uuid(),
      decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))`;
    expect(await attempt("mayfly_worker", insert)).toBe("allowed");
    expect(await attempt("mayfly_broker", insert)).toBe(REFUSED);
    const clear = "SELECT mayfly.clear_sequenced(ARRAY[gen_random_uuid()])";
    expect(await attempt("mayfly_broker", clear)).toBe(REFUSED);
    await ledgerFixtures.openTask(ledger.ports);
    const [pending] = await ledger.superuser`SELECT event_id FROM mayfly.events_pending`;
    const sql = postgres(ledger.urlOf("mayfly_worker"), { max: 1 });
    const [cleared] = await sql`
      SELECT mayfly.clear_sequenced(ARRAY[${String(pending?.["event_id"])}]::uuid[]) AS count`;
    await sql.end();
    expect(cleared?.["count"]).toBe(0);
  });

  test("only the broker issues, keeps the catalogue, and sees the signing keys", async () => {
    for (const statement of [
      "SELECT 1 FROM mayfly.signing_keys",
      "SELECT 1 FROM mayfly.backend_signing_keys",
      "SELECT 1 FROM mayfly.idempotency_keys",
      "UPDATE mayfly.catalog_version SET version = 1",
      "UPDATE mayfly.leases SET expires_at = now()",
    ]) {
      expect([statement, await attempt("mayfly_worker", statement)]).toEqual([statement, REFUSED]);
      expect([statement, await attempt("mayfly_broker", statement)]).toEqual([
        statement,
        "allowed",
      ]);
    }
    expect(
      await attempt("mayfly_worker", "INSERT INTO mayfly.decisions SELECT * FROM mayfly.decisions"),
    ).toBe(REFUSED);
  });

  test("only the worker makes partitions and purges", async () => {
    for (const call of ["mayfly.ensure_partitions(3)", "mayfly.purge_expired(10)"]) {
      expect(await attempt("mayfly_worker", `SELECT ${call}`)).toBe("allowed");
      expect(await attempt("mayfly_broker", `SELECT ${call}`)).toBe(REFUSED);
      expect(await attempt("mayfly_auditor", `SELECT ${call}`)).toBe(REFUSED);
    }
    for (const role of ["mayfly_broker", "mayfly_worker"] as const) {
      expect(await attempt(role, "CREATE TABLE mayfly.x (n int)")).toBe(REFUSED);
      expect(await attempt(role, "SELECT 1 FROM mayfly.leases_default")).toBe(REFUSED);
    }
  });

  test("the auditor reads the views, nothing sealed, and writes nothing", async () => {
    const views = await ledger.superuser<{ name: string }[]>`
      SELECT relname AS name FROM pg_class
      WHERE relnamespace = 'mayfly_audit'::regnamespace AND relkind = 'v' ORDER BY 1`;
    expect(views.map((row) => row.name)).toContain("leases");
    for (const { name } of views) {
      expect([name, await attempt("mayfly_auditor", `SELECT * FROM mayfly_audit.${name}`)]).toEqual(
        [name, "allowed"],
      );
      // 55000: a view of several tables has no rows of its own to delete.
      const deleted = await attempt("mayfly_auditor", `DELETE FROM mayfly_audit.${name}`);
      expect([REFUSED, "55000"]).toContain(deleted);
    }
    const sealed = await ledger.superuser`
      SELECT table_name, column_name FROM information_schema.columns
      WHERE table_schema = 'mayfly_audit' AND column_name LIKE '%sealed%'`;
    expect(sealed).toEqual([]);
    expect(await attempt("mayfly_auditor", "SELECT 1 FROM mayfly.leases")).toBe(REFUSED);
    const sql = postgres(ledger.urlOf("mayfly_auditor"), { max: 1 });
    const seen = await sql`SELECT state FROM mayfly_audit.leases`;
    await sql.end();
    expect(seen).toEqual([{ state: "active" }]);
  });

  test("the auditor makes no temporary table, and its sessions begin with bounded times", async () => {
    // This database was copied from another, and such rights are not part of a copy.
    await migrate({ url: ledger.database.url, random: systemRandom });
    const create = "CREATE TEMPORARY TABLE x (n integer)";
    expect(await attempt("mayfly_auditor", create)).toBe(REFUSED);
    // A queue on PostgreSQL needs them.
    expect(await attempt("mayfly_broker", create)).toBe("allowed");
    expect(await attempt("mayfly_worker", create)).toBe("allowed");
    const times = async (): Promise<readonly string[]> => {
      const sql = postgres(ledger.urlOf("mayfly_auditor"), { max: 1 });
      const [row] = await sql`
        SELECT current_setting('statement_timeout') AS statement,
          current_setting('idle_in_transaction_session_timeout') AS idle,
          current_setting('idle_session_timeout') AS session`;
      await sql.end();
      return [row?.["statement"], row?.["idle"], row?.["session"]].map(String);
    };
    expect(await times()).toEqual(["5min", "5min", "1h"]);
    // What an operator set stands, whoever migrates next.
    const { database } = await postgresName();
    await ledger.superuser.unsafe(
      `ALTER ROLE mayfly_auditor IN DATABASE "${database}" SET statement_timeout = '2h'`,
    );
    await migrate({ url: ledger.database.url, random: systemRandom });
    expect(await times()).toEqual(["2h", "5min", "1h"]);
  });

  const postgresName = async (): Promise<{ readonly database: string }> => {
    const [row] = await ledger.superuser<{ database: string }[]>`
      SELECT current_database() AS database`;
    return { database: row?.database ?? "" };
  };

  test("the lock of the history is the migrator's alone, and no reader is in its way", async () => {
    const take = "LOCK TABLE mayfly.log_cuts IN SHARE UPDATE EXCLUSIVE MODE";
    for (const role of ROLES) expect([role, await attempt(role, take)]).toEqual([role, REFUSED]);
    const auditor = postgres(ledger.urlOf("mayfly_auditor"), { max: 1 });
    await auditor.begin(async (tx) => {
      await tx`SELECT count(*) FROM mayfly_audit.log_cuts`;
      const lock = await lockHistory(ledger.database.url);
      await expect(lockHistory(ledger.database.url)).rejects.toMatchObject({ code: "conflict" });
      await lock.release();
    });
    await auditor.end();
  });

  test("the worker ends tasks and leases by itself", async () => {
    const backend = await ledgerFixtures.registerBackend(ledger.ports);
    const { task, lease } = await ledgerFixtures.activeLease(ledger.ports, backend);
    const { tasks } = ledger.worker;
    const end = { taskId: task.id, state: "expired", reason: "idle" } as const;
    await tasks.requestEnd({ ...end, actor: { kind: "system", name: "sweep" } });
    expect((await tasks.applyEnd(task.id)).ended).toEqual([task.id]);
    expect((await tasks.lease(lease.id))?.state).toBe("ending");
  });

  test("the broker settles what it claims, for whoever waits for an end", async () => {
    const backend = await ledgerFixtures.registerBackend(ledger.ports);
    const { lease } = await ledgerFixtures.activeLease(ledger.ports, backend);
    await ledger.broker.tasks.endLease(lease.id, ledgerFixtures.ADMIN, "done");
    const { sweep } = ledger.broker;
    const [claim] = await sweep.claim(backend.id, 1, durationSeconds(5));
    expect(await sweep.settle(claim!, { kind: "ended", outcome: "revoked", looked: {} })).toBe(
      true,
    );
  });
});
