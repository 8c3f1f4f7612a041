import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { uuidOfId } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { openErasure } from "./erasure.ts";
import {
  ALICE,
  BOB,
  dump,
  erase,
  erasureWorld,
  exported,
  NAME,
  offline,
  sequence,
  statistics,
  verdict,
  withErasure,
  type ErasureWorld,
} from "./testing/erasure-world.ts";

const { endTask, openTask } = ledgerFixtures;

describe("erasing one person", () => {
  test("takes the name out of every table, and the log verifies, here and as a file", async () => {
    await using scene = await erasureWorld();
    const { ledger, live } = scene;
    const before = await verdict(ledger);
    await endTask(ledger.ports, live.id);
    await sequence(ledger);
    expect(await dump(ledger)).toContain(NAME);

    const plan = await withErasure(ledger, (erasure) => erasure.plan(ALICE));
    expect(await dump(ledger)).toContain(NAME);
    await ledger.superuser`ANALYZE`;
    expect(await statistics(ledger)).toContain(NAME);
    const done = await erase(ledger);
    expect(done).toEqual({ ...plan, mentions: 0, cleaned: true });
    expect(await statistics(ledger)).not.toContain(NAME);
    expect(done.erased).toMatchObject({ tasks: 4, decisions: 2, leases: 1, task_end_requests: 3 });
    expect(done.skipped).toEqual({ live: 0, not_logged: 0, unreadable: 0 });
    expect(done.unsalted).toBe(0);

    await sequence(ledger);
    expect(await dump(ledger)).not.toContain(NAME);
    expect(await dump(ledger)).toContain(BOB.name);
    const after = await verdict(ledger);
    expect(after).toMatchObject({ ok: true, pending: 0, warning: null });
    expect(before).toMatchObject({ ok: true });
    const lines = await exported(ledger);
    expect(lines.join()).not.toContain(NAME);
    expect(await offline(lines)).toMatchObject({
      ok: true,
      unvouched: 0,
      headSha256: after.ok ? after.headSha256 : "",
    });
  });

  test("keeps what is about nobody: who ended it, states, times, roles, policies", async () => {
    await using scene = await erasureWorld();
    const { ledger, mine, child, others } = scene;
    await erase(ledger);
    const chain = await ledger.ports.queries.taskChain(mine.id);
    expect(chain?.task).toMatchObject({
      state: "killed",
      verifiedInitiator: "[erased]",
      initiatorTrustRoot: "login",
      endReason: "[erased]",
      workload: { trustRoot: "acme.test", kind: "spiffe", subject: "[erased]" },
      descriptor: { goal: "[erased]", ref: "[erased]", targets: ["[erased]"] },
    });
    expect(chain?.descendants.map(({ id, workload }) => [id, workload.subject])).toEqual([
      [child.id, "[erased]"],
    ]);
    const [lease] = chain?.leases ?? [];
    expect(lease).toMatchObject({
      outcome: "revoked",
      workload: "[erased]",
      role: scene.backend.role,
    });
    expect(lease?.plan.leaseId).toBe(lease?.id);
    const ended = chain?.events.find(({ kind }) => kind === "task.end_requested");
    expect(ended).toMatchObject({
      actor: { kind: "administrator", name: "oscar" },
      data: { state: "killed", reason: "[erased]" },
    });
    const other = await ledger.ports.queries.taskChain(others.id);
    expect(other?.task).toMatchObject({ verifiedInitiator: BOB.name, endReason: "[erased]" });
    expect(other?.events.find(({ kind }) => kind === "task.ended")).toMatchObject({
      actor: { kind: "administrator", name: "[erased]" },
      data: { reason: "[erased]", state: "killed" },
    });
    const [holder] = await ledger.superuser`
      SELECT initiator, initiator_basis, task_goal, workload, outcome FROM mayfly_audit.holders`;
    expect(holder).toEqual({
      initiator: "[erased]",
      initiator_basis: "verified",
      task_goal: "[erased]",
      workload: "[erased]",
      outcome: "revoked",
    });
  });

  test("leaves what lives, says so, and goes on with it when it has ended", async () => {
    await using scene = await erasureWorld();
    const { ledger, live } = scene;
    const first = await erase(ledger);
    expect(first.skipped).toEqual({ live: 1, not_logged: 0, unreadable: 0 });
    expect(await dump(ledger)).toContain(NAME);
    await endTask(ledger.ports, live.id);
    const early = await erase(ledger);
    expect(early.skipped).toEqual({ live: 0, not_logged: 1, unreadable: 0 });
    await sequence(ledger);
    const second = await erase(ledger);
    expect(second.erased).toMatchObject({ tasks: 1, task_end_requests: 1 });
    expect(await dump(ledger)).not.toContain(NAME);
    const nothing = await erase(ledger);
    expect(Object.values(nothing.erased)).toEqual([0, 0, 0, 0, 0, 0]);
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
  });

  test("that breaks off in the middle leaves whole batches, and the same call goes on", async () => {
    await using scene = await erasureWorld();
    const { ledger, live } = scene;
    await endTask(ledger.ports, live.id);
    await sequence(ledger);
    await ledger.superuser.unsafe(`
      CREATE FUNCTION public.break_off() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF (SELECT count(*) FROM mayfly.events WHERE kind = 'ledger.erased') >= 2 THEN
          PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NEW;
      END $$;
      ALTER FUNCTION public.break_off() SECURITY DEFINER;
      CREATE TRIGGER break_off BEFORE INSERT ON mayfly.events FOR EACH ROW
        WHEN (NEW.kind = 'ledger.erased') EXECUTE FUNCTION public.break_off()`);
    const broken = withErasure(ledger, (erasure) => erasure.erase(ALICE, "request 17"), 1);
    await expect(broken).rejects.toMatchObject({ code: "ledger_unavailable" });
    await ledger.superuser`DROP TRIGGER break_off ON mayfly.events`;
    const [told] = await ledger.superuser`
      SELECT count(*)::int AS n FROM mayfly.events WHERE kind = 'ledger.erased'`;
    expect(told).toEqual({ n: 2 });
    expect(await dump(ledger)).toContain(NAME);
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
    const rest = await erase(ledger);
    expect(rest.erased.events).toBeGreaterThan(0);
    await sequence(ledger);
    expect(await dump(ledger)).not.toContain(NAME);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
  });

  test("of two at once, one is refused and the other does it", async () => {
    await using scene = await erasureWorld();
    const { ledger } = scene;
    await withErasure(ledger, async (erasure) => {
      await expect(openErasure({ url: ledger.database.url })).rejects.toMatchObject({
        code: "conflict",
      });
      await erasure.erase(ALICE, "request 17");
    });
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
  });

  test("of a second person in the same rows vouches for them in place of the first", async () => {
    await using scene = await erasureWorld();
    const { ledger, others } = scene;
    await erase(ledger);
    await sequence(ledger);
    const done = await erase(ledger, BOB);
    expect(done.erased).toMatchObject({ tasks: 1, task_end_requests: 0 });
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
    expect(await offline(await exported(ledger))).toMatchObject({ ok: true, unvouched: 0 });
    const [first, second] = await ledger.superuser<{ id: string }[]>`
      SELECT id FROM mayfly.events WHERE kind = 'ledger.erased' AND data #>
        ARRAY['rows', 'tasks', ${uuidOfId(others.id)}] IS NOT NULL ORDER BY id`;
    expect(second?.id).not.toBe(first?.id);
    await ledger.superuser`
      UPDATE mayfly.tasks SET erased_by = ${first?.id ?? ""} WHERE id = ${uuidOfId(others.id)}`;
    expect(await verdict(ledger)).toMatchObject({ ok: false });
  });

  test("by workload takes what it did, and leaves others' names in what else it touched", async () => {
    await using scene = await erasureWorld();
    const { ledger, mine, live } = scene;
    await endTask(ledger.ports, live.id);
    await sequence(ledger);
    const name = "spiffe://acme.test/agent/bot-of-hers";
    const done = await erase(ledger, { by: "workload", name });
    expect(done.erased).toMatchObject({ tasks: 2, leases: 1 });
    const task = await ledger.ports.tasks.find(mine.id);
    expect(task?.verifiedInitiator).toBe("[erased]");
    expect(await dump(ledger)).not.toContain(name);
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
  });

  test("counts rows whose leaf was made without a salt, and rows that name in passing", async () => {
    await using scene = await erasureWorld();
    const { ledger } = scene;
    await ledger.superuser`UPDATE mayfly.log_head SET leaf_version = 1`;
    const task = await openTask(ledger.ports, { verifiedInitiator: "carla" });
    await endTask(ledger.ports, task.id);
    await openTask(ledger.ports, { ref: "ask carla first" });
    await sequence(ledger);
    await expect(erase(ledger)).rejects.toMatchObject({ code: "conflict" });
    await ledger.superuser`UPDATE mayfly.log_head SET leaf_version = 2`;
    const done = await erase(ledger, { by: "initiator", name: "carla" });
    expect(done.unsalted).toBe(3);
    expect(done.mentions).toBe(2);
    await sequence(ledger);
    expect(await verdict(ledger)).toMatchObject({ ok: true });
  });

  test("refuses a reason that names the person, and a ledger that does not verify", async () => {
    await using scene = await erasureWorld();
    const { ledger } = scene;
    await withErasure(ledger, async (erasure) => {
      await expect(erasure.erase(ALICE, `for ${NAME.toUpperCase()}`)).rejects.toMatchObject({
        code: "invalid_input",
      });
      await expect(erasure.erase({ ...ALICE, name: "[erased]" }, "x")).rejects.toMatchObject({
        code: "invalid_input",
      });
      await ledger.superuser`
        UPDATE mayfly.events SET data = data || '{"reason": "x"}' WHERE kind = 'task.ended'`;
      await expect(erasure.erase(ALICE, "request 17")).rejects.toMatchObject({
        code: "check_failed",
      });
    });
  });
});

describe("the function that erases", () => {
  let scene: ErasureWorld;
  beforeAll(async () => {
    scene = await erasureWorld();
  });
  afterAll(() => scene.ledger.close());

  const call = (change: string): string =>
    `SELECT mayfly.erase_rows(mayfly.uuid7(), '[${change}]'::jsonb)`;

  test.for<[string, (id: string) => string]>([
    ["another value", (id) => `{"table": "tasks", "id": "${id}", "columns": {"ref": "x"}}`],
    [
      "another column",
      (id) => `{"table": "tasks", "id": "${id}", "columns": {"state": "[erased]"}}`,
    ],
    ["null", (id) => `{"table": "tasks", "id": "${id}", "columns": {"ref": null}}`],
    [
      "another shape",
      (id) => `{"table": "tasks", "id": "${id}", "columns": {"descriptor": {"goal": "[erased]"}}}`,
    ],
    ["another table", (id) => `{"table": "backends", "id": "${id}", "columns": {}}`],
    ["a salt", (id) => `{"table": "events", "id": "${id}", "columns": {"salt": "\\\\x00"}}`],
  ])("writes nothing but the marker: not %s", async ([, change]) => {
    const { superuser } = scene.ledger;
    const id = uuidOfId(scene.mine.id);
    await superuser.unsafe("SET ROLE mayfly_migrator");
    await expect(superuser.unsafe(call(change(id)))).rejects.toMatchObject({
      code: expect.stringMatching(/^(22023|P0002)$/) as string,
    });
    await superuser.unsafe("RESET ROLE");
  });

  test("is the migrator's alone", async () => {
    const { superuser } = scene.ledger;
    const allowed = await superuser<{ rolname: string }[]>`
      SELECT r.rolname FROM pg_roles AS r, pg_proc AS p
      WHERE r.rolname LIKE 'mayfly\\_%' AND p.pronamespace = 'mayfly'::regnamespace
        AND p.proname IN ('erase_rows', 'is_erasure_of')
        AND has_function_privilege(r.rolname, p.oid, 'EXECUTE')`;
    expect(new Set(allowed.map(({ rolname }) => rolname))).toEqual(new Set(["mayfly_migrator"]));
  });
});
