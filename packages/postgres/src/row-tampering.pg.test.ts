import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  durationSeconds,
  parsePolicyId,
  plusSeconds,
  Secret,
  type Decision,
  type LeaseId,
} from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { activeLease, claimOne, decision, endTask, mintId, registerBackend, reserveLease } =
  ledgerFixtures;
const TABLES = ["tasks", "decisions", "leases", "backend_slots"] as const;

let ledger: TestLedger;
let live: LeaseId;
let ended: LeaseId;
beforeAll(async () => {
  ledger = await createTestLedger();
  await liveThrough();
  for (let more = 1; more > 0;) more = await ledger.worker.sequencer.append(1000);
  for (const table of TABLES) {
    await ledger.superuser.unsafe(`CREATE TABLE public.${table} AS TABLE mayfly.${table}`);
  }
});
afterAll(() => ledger.close());
afterEach(async () => {
  for (const table of TABLES) {
    await ledger.superuser.unsafe(`DELETE FROM mayfly.${table};
      INSERT INTO mayfly.${table} SELECT * FROM public.${table}`);
  }
});

/** All ways in which rows come to be and to change: none of them may look like tampering. */
async function liveThrough(): Promise<void> {
  const { ports } = ledger;
  const backend = await registerBackend(ports);
  const request = { action: "issue", role: { name: "a", größe: 1.5e21 }, plan: ["\u2028", 0.1] };
  const denied: Decision = {
    ...decision(ports, null),
    request,
    verdict: {
      effect: "deny",
      why: "forbidden",
      determining: [parsePolicyId("no-prod-writes", "policy")],
      explanation: "Policy 'no-prod-writes' forbids it.",
    },
  };
  await ports.issue.recordDenial({ decision: denied, workload: "w", role: backend.role });
  const renewed = await activeLease(ports, backend);
  live = renewed.lease.id;
  const result = await ports.issue.recordRenewal({
    leaseId: live,
    expiresAt: plusSeconds(ports.now(), 400),
    decision: decision(ports, renewed.task.id),
    catalogVersion: await ports.catalog.version(),
  });
  expect(result.kind).toBe("recorded");
  const first = await activeLease(ports, backend);
  ended = first.lease.id;
  await endTask(ports, first.task.id);
  const revoked = { kind: "ended", outcome: "revoked", looked: {} } as const;
  expect(await ports.sweep.settle(await claimOne(ports, backend), revoked)).toBe(true);
  const { lease } = await reserveLease(ports, backend);
  await ports.issue.abandon(lease, "no effect");
  const sealedHandle = Uint8Array.of(1);
  const handle = Secret.of("handle");
  const mark = (leaseId: LeaseId) => ({ kind: "ours", leaseId, handle }) as const;
  const found = [lease.id, mintId("lease")].map((id) => ({
    mark: mark(id),
    externalName: `mf_${id}`,
    sealedHandle,
  }));
  const listedAt = plusSeconds(await ports.sweep.now(), 60);
  const adopted = await ports.sweep.adoptOrphans(backend.id, found, listedAt);
  expect(adopted.orphans).toHaveLength(2);
  for (const claim of await ports.sweep.claim(backend.id, 10, durationSeconds(30))) {
    expect(await ports.sweep.settle(claim, revoked)).toBe(true);
  }
  const tenant = await reserveLease(ports, backend);
  const pool = { slots: ["a", "b"], quarantineSeconds: durationSeconds(0) };
  const slots = ports.backendSlots.of(backend.id);
  const before = await reserveLease(ports, backend);
  expect((await slots.take(before.lease.id, { ...pool, slots: ["a"] })).kind).toBe("taken");
  await ports.issue.abandon(before.lease, "no effect");
  expect((await slots.take(tenant.lease.id, { ...pool, slots: ["a"] })).kind).toBe("taken");
  const other = await reserveLease(ports, backend);
  expect((await slots.take(other.lease.id, pool)).kind).toBe("taken");
  const late = await reserveLease(ports, backend);
  await ports.tasks.endLease(late.lease.id, ledgerFixtures.ADMIN, "enough");
  const withheld = await ports.issue.activate(late.lease, ledgerFixtures.activation(ports));
  expect(withheld.kind).toBe("withheld");
}

async function tamper(statement: string): Promise<void> {
  const changed = await ledger.superuser.unsafe(statement);
  expect(changed.count).toBe(1);
}
async function indexOf(kind: string, leaseId: LeaseId | null): Promise<number> {
  const { items } = await ledger.ports.queries.events(leaseId === null ? {} : { leaseId }, {
    limit: 1000,
    after: null,
  });
  const found = items.find((event) => event.kind === kind)?.logIndex;
  if (found === undefined || found === null) throw new Error(`no ${kind} in the log`);
  return found;
}
const uuidOf = (id: LeaseId): string => `(SELECT e.lease_id FROM mayfly.events AS e
  WHERE e.data -> 'plan' ->> 'leaseId' = '${id}' AND e.kind = 'lease.reserved')`;
const verdict = () => ledger.worker.sequencer.verify(0);

test("what was never tampered with verifies, whatever became of it", async () => {
  expect(await verdict()).toMatchObject({ ok: true, pending: 0 });
});

describe("tampering with the row of a task shows", () => {
  const ONE = "id = (SELECT task_id FROM mayfly.leases WHERE id =";
  test.for<[string, string]>([
    ["workload", `jsonb_set(workload, '{subject}', '"somebody else"')`],
    ["workload_name", "'somebody else'"],
    ["verified_initiator", "'mallory'"],
    ["verified_initiator_trust_root", "'mallory'"],
    ["claimed_initiator", "'mallory'"],
    ["ref", "'another ref'"],
    ["descriptor", `jsonb_set(descriptor, '{goal}', '"another goal"')`],
    ["parent_id", "mayfly.uuid7()"],
    ["root_id", "mayfly.uuid7()"],
    ["confirmation", "'another key'"],
    ["deadline_at", "deadline_at + interval '1 millisecond'"],
    ["deadline_at", "deadline_at + interval '1 microsecond'"],
    ["opened_at", "opened_at - interval '1 hour'"],
    ["idle_timeout_seconds", "idle_timeout_seconds + 3600"],
  ])("a changed %s (%s)", async ([column, value]) => {
    await tamper(`UPDATE mayfly.tasks SET ${column} = ${value} WHERE ${ONE} ${uuidOf(live)})`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false });
    expect(found.ok ? "" : found.problem).toContain("the task of entry");
  });

  test("a removed one", async () => {
    await tamper(`DELETE FROM mayfly.tasks WHERE ${ONE} ${uuidOf(live)})`);
    const found = await verdict();
    expect(found.ok ? "" : found.problem).toMatch(/the task of entry \d+ is missing/);
  });

  test("an added one", async () => {
    await tamper(`INSERT INTO mayfly.tasks
      SELECT (jsonb_populate_record(t, jsonb_build_object('id', mayfly.uuid7()))).*
      FROM mayfly.tasks AS t WHERE ${ONE} ${uuidOf(live)})`);
    const found = await verdict();
    expect(found.ok ? "" : found.problem).toContain("no event tells of task");
  });
});

describe("tampering with the row of a decision shows", () => {
  test.for<[string, string]>([
    ["request", `jsonb_set(request, '{action}', '"renew"')`],
    ["request", "jsonb_set(request, '{plan,1}', '0.2')"],
    ["verdict", `jsonb_set(verdict, '{explanation}', '"x"')`],
    ["effect", "'permit'"],
    ["policy_digest", "repeat('00', 32)"],
    ["task_id", "mayfly.uuid7()"],
    ["workload", "'somebody else'"],
    ["role", "'orders-db/writer'"],
    ["role", "NULL"],
    ["decided_at", "decided_at + interval '1 millisecond'"],
    ["decided_at", "decided_at + interval '1 microsecond'"],
    ["recorded_at", "recorded_at - interval '1 hour'"],
  ])("a changed %s (%s)", async ([column, value]) => {
    await tamper(`UPDATE mayfly.decisions SET ${column} = ${value} WHERE effect = 'deny'`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: await indexOf("decision.denied", null) });
    expect(found.ok ? "" : found.problem).toContain("the decision of entry");
  });

  test("a removed one", async () => {
    await tamper("DELETE FROM mayfly.decisions WHERE effect = 'deny'");
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: await indexOf("decision.denied", null) });
    expect(found.ok ? "" : found.problem).toContain("is missing");
  });

  test("an added one", async () => {
    await tamper(`INSERT INTO mayfly.decisions
      SELECT mayfly.uuid7(), task_id, workload, role, 'permit', request, verdict, policy_digest,
        decided_at FROM mayfly.decisions WHERE effect = 'deny'`);
    const found = await verdict();
    expect(found.ok ? "" : found.problem).toContain("no event tells of decision");
  });

  test("and an event that is older than the hash is taken as it is", async () => {
    await using old = await olderLedger();
    expect(await old.ledger.worker.sequencer.verify(0)).toMatchObject({ ok: true });
    await old.ledger.superuser`UPDATE mayfly.decisions SET request = '{}'`;
    expect(await old.ledger.worker.sequencer.verify(0)).toMatchObject({ ok: true });
  });
});

describe("tampering with the row of a slot shows", () => {
  test.for<string>([
    "UPDATE mayfly.backend_slots SET lease_id = NULL WHERE slot = 'a'",
    "UPDATE mayfly.backend_slots SET lease_id = mayfly.uuid7() WHERE slot = 'a'",
    "UPDATE mayfly.backend_slots SET generation = generation + 1 WHERE slot = 'b'",
    "UPDATE mayfly.backend_slots SET slot = 'c' WHERE slot = 'b'",
    "DELETE FROM mayfly.backend_slots WHERE slot = 'a'",
  ])("%s", async (statement) => {
    await tamper(statement);
    const found = await verdict();
    expect(found.ok ? "" : found.problem).toMatch(/^slot [abc] of .* was altered$/);
  });

  test("also where it was put right after somebody else had the slot too", async () => {
    await using own = await emptyLedger();
    const { ports, superuser, worker } = own.ledger;
    const backend = await registerBackend(ports);
    const take = async () => {
      const { lease } = await reserveLease(ports, backend);
      const pool = { slots: ["a"], quarantineSeconds: durationSeconds(60) };
      return (await ports.backendSlots.of(backend.id).take(lease.id, pool)).kind;
    };
    expect([await take(), await take()]).toEqual(["taken", "busy"]);
    await superuser`UPDATE mayfly.backend_slots SET lease_id = NULL`;
    expect(await take()).toBe("taken");
    await worker.sequencer.append(1000);
    const found = await worker.sequencer.verify(0);
    expect(found.ok ? "" : found.problem).toContain("slot a of");
    expect(found.ok ? "" : found.problem).toContain("was given to two leases at once");
  });
});

async function emptyLedger() {
  const own = await createTestLedger();
  return { ledger: own, [Symbol.asyncDispose]: () => own.close() };
}

/** As an earlier version wrote it: its decision's event has no hash. */
async function olderLedger() {
  const older = await createTestLedger();
  await activeLease(older.ports, await registerBackend(older.ports));
  await older.superuser`UPDATE mayfly.events SET data = data - 'decisionSha256'`;
  await older.worker.sequencer.append(1000);
  return { ledger: older, [Symbol.asyncDispose]: () => older.close() };
}

describe("tampering with the row of a lease shows", () => {
  test.for<[string, string, string]>([
    ["task_id", "NULL", "lease.reserved"],
    ["decision_id", "mayfly.uuid7()", "lease.reserved"],
    ["workload", "'somebody else'", "lease.reserved"],
    ["role", "'orders-db/writer'", "lease.reserved"],
    ["backend_id", "'another'", "lease.reserved"],
    ["backend_revision", "7", "lease.reserved"],
    ["plan", `jsonb_set(plan, '{grant,member_of}', '"app_writer"')`, "lease.reserved"],
    ["reserved_at", "reserved_at - interval '1 hour'", "lease.reserved"],
    ["fingerprint", "repeat('00', 32)", "lease.activated"],
    ["activated_at", "activated_at + interval '1 hour'", "lease.activated"],
  ])("a changed %s (%s)", async ([column, value, kind]) => {
    await tamper(`UPDATE mayfly.leases SET ${column} = ${value} WHERE id = ${uuidOf(live)}`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: await indexOf(kind, live) });
    expect(found.ok ? "" : found.problem).toContain("the lease of entry");
  });

  test("a removed one", async () => {
    await tamper(`DELETE FROM mayfly.leases WHERE id = ${uuidOf(live)}`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: await indexOf("lease.reserved", live) });
    expect(found.ok ? "" : found.problem).toContain("is missing");
  });

  test("a live one that is shown as ended, an ended one as live, another outcome", async () => {
    const hidden = "state = 'ended', outcome = 'revoked', ended_at = now()";
    const shown = "state = 'ending', outcome = NULL, ended_at = NULL";
    for (const [lease, change] of [
      [live, hidden],
      [ended, shown],
      [ended, "outcome = 'expired'"],
    ] as const) {
      await tamper(`UPDATE mayfly.leases SET ${change} WHERE id = ${uuidOf(lease)}`);
      const found = await verdict();
      expect(found.ok ? "" : found.problem).toContain("its events say otherwise");
      await ledger.superuser.unsafe(`DELETE FROM mayfly.leases;
        INSERT INTO mayfly.leases SELECT * FROM public.leases`);
    }
  });

  const LIVE = "state = 'active' AND";
  const DYING = "state = 'ending' AND sealed_handle IS NOT NULL AND";
  test.for<[string, string, string]>([
    ["expiry", `expires_at = expires_at + interval '1 hour' WHERE ${LIVE}`, "of a live lease"],
    [
      "expiry",
      "expires_at = expires_at - interval '1 hour' WHERE state = 'ended' AND",
      "an old one",
    ],
    ["next look", `due_at = expires_at + interval '1 second' WHERE ${LIVE}`, "of a live lease"],
    ["next look", `due_at = now() + interval '1 day' WHERE ${DYING}`, "of a lease that ends"],
    [
      "next look",
      "due_at = settle_by + interval '1 day' WHERE state = 'reserved' AND",
      "unsettled",
    ],
    ["handle", `work = 'recover', sealed_handle = NULL WHERE ${DYING}`, "taken away"],
  ])("another %s (%s)", async ([what, change]) => {
    const first = "SELECT min(id::text)::uuid FROM mayfly.leases WHERE";
    const [assignments = "", condition = ""] = change.split(" WHERE ");
    await tamper(`UPDATE mayfly.leases SET ${assignments}
      WHERE id = (${first} ${condition} true)`);
    const found = await verdict();
    expect(found.ok ? "" : found.problem).toContain(`the ${what} of lease`);
  });
});
