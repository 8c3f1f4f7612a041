import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { durationSeconds, workloadName } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { auditViewsPage, readAuditColumns } from "./testing/audit-views-page.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { ADMIN, activeLease, claimOne, openTask, registerBackend, reserveLease } = ledgerFixtures;

let ledger: TestLedger;
let auditor: postgres.Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  auditor = postgres(ledger.urlOf("mayfly_auditor"), { max: 1, onnotice: () => undefined });
});
afterAll(async () => {
  await auditor.end();
  await ledger.close();
});

describe("the auditor's views", () => {
  test("each has its meaning in a comment, and so has each of its columns", async () => {
    const columns = await readAuditColumns(ledger.superuser);
    expect(columns.length).toBeGreaterThan(150);
    const without = columns.filter(({ about, meaning }) => about === null || meaning === null);
    expect(
      without.map(({ view, name }) => `${view}.${name}`),
      "Add COMMENT ON VIEW and COMMENT ON COLUMN to the migration that adds these.",
    ).toEqual([]);
  });

  test("are documented column by column in docs/audit-views.md", async () => {
    const page = auditViewsPage(await readAuditColumns(ledger.superuser));
    await expect(page).toMatchFileSnapshot("../../../docs/audit-views.md");
  });

  test("show nothing sealed, no key and no hash of the bootstrap token", async () => {
    const columns = await readAuditColumns(ledger.superuser);
    const named = columns.filter(({ name }) => /sealed|secret|password|private|token/.test(name));
    expect(named).toEqual([]);
    expect(columns.filter(({ type }) => type === "bytea").map(({ name }) => name)).toEqual(
      expect.arrayContaining(["leaf_hash", "chain_hash", "salt"]),
    );
    const bytes = columns.filter(({ type }) => type === "bytea").map(({ name }) => name);
    expect(new Set(bytes)).toEqual(new Set(["leaf_hash", "chain_hash", "salt"]));
  });

  test("are all that the auditor has: no table, no write, no function of ours", async () => {
    const relations = await ledger.superuser<{ name: string; kind: string }[]>`
      SELECT format('%I.%I', relnamespace::regnamespace, relname) AS name, relkind AS kind
      FROM pg_class WHERE relnamespace IN (
        SELECT oid FROM pg_namespace WHERE nspname LIKE 'mayfly%' OR nspname IN ('public', 'bull'))
        AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`;
    expect(relations.length).toBeGreaterThan(40);
    for (const { name } of relations.filter(({ name }) => !name.startsWith("mayfly_audit."))) {
      const read = auditor.unsafe(`SELECT 1 FROM ${name} LIMIT 1`);
      await expect(read, name).rejects.toMatchObject({ code: "42501" });
    }
    const functions = await ledger.superuser<{ call: string }[]>`
      SELECT p.oid::regprocedure::text AS call FROM pg_proc AS p
      WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'mayfly%')
        AND has_function_privilege('mayfly_auditor', p.oid, 'EXECUTE')
        AND has_schema_privilege('mayfly_auditor', p.pronamespace, 'USAGE')`;
    expect(functions).toEqual([]);
    const writes = await ledger.superuser`
      SELECT c.relname FROM pg_class AS c
      WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'mayfly%')
        AND c.relkind IN ('r', 'p', 'v')
        AND (has_table_privilege('mayfly_auditor', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
          OR has_any_column_privilege('mayfly_auditor', c.oid, 'INSERT, UPDATE'))`;
    expect(writes).toEqual([]);
    for (const statement of [
      "CREATE TABLE mayfly_audit.x (n int)",
      "CREATE TABLE public.x (n int)",
      "SET ROLE mayfly_migrator",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      "SELECT pg_read_file('/etc/hostname')",
    ]) {
      await expect(auditor.unsafe(statement), statement).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("say of each lease's exposure what the API says", async () => {
    const backend = await registerBackend(ledger.ports);
    const { ports } = ledger;
    const task = await openTask(ports, { verifiedInitiator: "alice" });
    const active = await activeLease(ports, backend, { under: task });
    await reserveLease(ports, backend, { under: task });
    const ending = await activeLease(ports, backend, { under: task });
    await ports.tasks.endLease(ending.lease.id, ADMIN, "done");
    await ports.sweep.settle(await claimOne(ports, backend), {
      kind: "wait",
      seconds: durationSeconds(600),
      exposure: { kind: "until", until: ports.now(), reason: "propagating" },
    });
    const stuck = await activeLease(ports, backend, { under: task });
    await ports.tasks.endLease(stuck.lease.id, ADMIN, "done");
    await ports.sweep.settle(await claimOne(ports, backend), {
      kind: "failed",
      error: "it does not answer",
      retryInSeconds: durationSeconds(600),
      stuck: true,
    });
    const page = { limit: 100, after: null };
    const { items } = await ports.queries.holders({ backendId: backend.id, exposed: true }, page);
    expect(items).toHaveLength(4);
    const rows = await auditor<Record<string, unknown>[]>`
      SELECT 'lease_' || replace(lease_id::text, '-', '') AS id, exposure, exposed_until,
        exposure_reason, initiator, initiator_basis, policy_digest, determining_policies
      FROM mayfly_audit.exposed_leases WHERE backend_id = ${backend.id} ORDER BY lease_id DESC`;
    const seen = rows.map(({ exposed_until: until, ...rest }) => ({
      ...rest,
      until: until instanceof Date ? until.getTime() : null,
    }));
    expect(seen).toEqual(
      items.map(({ lease: { id, exposure }, policy }) => ({
        id,
        exposure: exposure.kind,
        until: exposure.kind === "until" ? exposure.until : null,
        exposure_reason: exposure.kind === "none" ? null : exposure.reason,
        initiator: "alice",
        initiator_basis: "verified",
        policy_digest: policy?.digest,
        determining_policies: policy?.determining,
      })),
    );
    expect(new Set(items.map(({ lease }) => lease.exposure.kind))).toEqual(
      new Set(["until", "unknown"]),
    );
    expect(active.lease.state).toBe("active");
  });

  test("answer the other questions: touched, late, policies, administration", async () => {
    const { ports } = ledger;
    const backend = await registerBackend(ports);
    const task = await openTask(ports);
    await activeLease(ports, backend, { under: task });
    const workload = workloadName(task.workload);
    const touched = await auditor`
      SELECT what, role, state FROM mayfly_audit.touched WHERE workload = ${workload}`;
    expect(touched).toEqual([{ what: "lease", role: backend.role, state: "active" }]);
    const late = await auditor`SELECT late_seconds FROM mayfly_audit.late_ends`;
    expect(Array.isArray(late)).toBe(true);
    const text = [
      '@id("reads")\npermit (principal, action, resource);',
      '// @id("not-one")',
      '@id( "forbids" )\nforbid (principal, action, resource);',
    ].join("\n");
    const digest = "7a".repeat(32);
    await ports.catalog.activatePolicies({ digest, sources: [{ name: "a.cedar", text }] }, ADMIN);
    const policies = await auditor`
      SELECT policy_id, permits_ever FROM mayfly_audit.active_policy_use ORDER BY policy_id`;
    expect(policies).toEqual([
      { policy_id: "forbids", permits_ever: "0" },
      { policy_id: "reads", permits_ever: "0" },
    ]);
    const changes = await auditor`
      SELECT kind FROM mayfly_audit.administration WHERE kind = 'policies.activated'`;
    expect(changes).toHaveLength(1);
  });
});
