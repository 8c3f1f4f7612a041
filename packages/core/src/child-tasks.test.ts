import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "@mayfly/spec";
import {
  INVOICE_BOT,
  REPORT_BOT,
  createFakeAgent,
  createFakeWorld,
  furnish,
  proofOf,
  refusalOf,
  type FakePolicyRule,
} from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(rules?: readonly FakePolicyRule[]) {
  const world = createFakeWorld({
    settings: { sweepIntervalSeconds: 3600, listingIntervalSeconds: 3600 },
  });
  const core = createCore(world.ports);
  await furnish(world, core, rules);
  return { world, core, agent: createFakeAgent(world, core) };
}

describe("a child task", () => {
  test("acts as its parent's workload, or as the one that its own token proves", async () => {
    const { world, agent } = await setUp();
    const parent = await agent.open();
    const own = await agent.child(parent);
    expect(own.task).toMatchObject({
      parentId: parent.task.id,
      depth: 1,
      workload: { subject: INVOICE_BOT },
    });
    const actor = proofOf(world.clock, REPORT_BOT);
    const delegated = await agent.child(parent, {}, { actor });
    expect(delegated.task.workload.subject).toBe(REPORT_BOT);
  });

  test("handed to another workload neither outlives nor exceeds its parent", async () => {
    const { world, agent } = await setUp();
    const parent = await agent.open();
    const actor = proofOf(world.clock, REPORT_BOT);
    const wider = agent.child(parent, { credentials: [{ role: "orders-db/writer" }] }, { actor });
    expect((await refusalOf(wider)).code).toBe("invalid_task");
    await world.clock.advance(300_000);
    const later = proofOf(world.clock, REPORT_BOT);
    const child = await agent.child(parent, {}, { actor: later });
    expect(child.task.deadlineAt).toBe(parent.task.deadlineAt);
    expect(child.taskTokenExpiresAt).toBeLessThanOrEqual(parent.task.deadlineAt);
    expect(child.credentials[0]!.expiresAt).toBeLessThanOrEqual(parent.task.deadlineAt);
    await world.clock.advance(600_000);
    const drawing = agent.prove({ task: child.task.id }, { subject: REPORT_BOT });
    expect((await refusalOf(drawing)).code).toBe("task_ended");
  });

  test("is handed to nobody once the proof of its parent's identity is too old", async () => {
    const { world, core, agent } = await setUp();
    const config = { issuer: "spiffe://acme.test", identity_max_age_seconds: 120 };
    await core.putTrustRoot({ trust: "acme.test", kind: "spiffe", config }, ADMIN);
    const parent = await agent.open({ deadline: "1h" });
    // A verifier that is lax about expiry stands in for a token that outlived its proof.
    const claims = { ...world.taskTokens.lastClaims!, expiresAt: parent.task.deadlineAt };
    const taskToken = await world.taskTokens.sign(claims);
    await world.clock.advance(120_000);
    const actor = proofOf(world.clock, REPORT_BOT);
    const refused = await refusalOf(agent.child({ ...parent, taskToken }, {}, { actor }));
    expect(refused.code).toBe("invalid_identity");
    expect(refused.public["hint"]).toContain("afresh");
  });

  test("inherits no younger proof of identity than its parent has", async () => {
    const { world, agent } = await setUp();
    const parent = await agent.open();
    await world.clock.advance(60_000);
    const child = await agent.child(parent);
    expect(child.task.identityProvenAt).toBe(parent.task.identityProvenAt);
  });

  test("is judged as its own workload, with its ancestors as the chain of actors", async () => {
    const { world, agent } = await setUp([
      { id: "all", effect: "permit" },
      { id: "not-reports", effect: "forbid", workload: REPORT_BOT },
    ]);
    const parent = await agent.open();
    const actor = proofOf(world.clock, REPORT_BOT);
    const denied = await refusalOf(agent.child(parent, {}, { actor }));
    expect(denied.public["determining_policies"]).toEqual(["not-reports"]);
    const child = await agent.child(parent);
    await agent.child(child);
    const decisions = await Promise.all(
      world.ledger.inspect
        .leases()
        .map(({ decisionId }) => world.ledger.queries.decision(decisionId!)),
    );
    expect(decisions.map((decision) => decision!.request["actorChain"])).toEqual([
      [],
      [INVOICE_BOT],
      [INVOICE_BOT, INVOICE_BOT],
    ]);
  });

  test.each<[string, JsonObject, string]>([
    ["a later deadline", { deadline: "16m" }, "deadline"],
    ["another target", { targets: ["orders-db:customers"] }, "targets"],
    [
      "a role that the parent did not declare",
      { credentials: [{ role: "orders-db/writer" }] },
      "credentials[0].role",
    ],
    [
      "wider parameters",
      { credentials: [{ role: "orders-db/reader", params: { groups: ["read", "list"] } }] },
      "credentials[0].params",
    ],
  ])("with %s is refused", async (_what, details, where) => {
    const { agent } = await setUp();
    const parent = await agent.open({
      targets: ["orders-db:orders"],
      credentials: [{ role: "orders-db/reader", params: { groups: ["read"] } }],
    });
    const refused = await refusalOf(agent.child(parent, { credentials: [], ...details }));
    expect(refused).toMatchObject({
      code: "invalid_task",
      where: `authorization_details[0].${where}`,
    });
  });

  test("ends no later than its parent, however late it was opened", async () => {
    const { world, agent } = await setUp();
    const parent = await agent.open();
    await world.clock.advance(300_000);
    const child = await agent.child(parent);
    expect(child.task.deadlineAt).toBe(parent.task.deadlineAt);
    expect(child.credentials[0]!.expiresAt).toBeLessThanOrEqual(parent.task.deadlineAt);
  });

  test("carries the lesser of its own declared ttl and its parent's, in what it draws too", async () => {
    const { world, agent } = await setUp();
    const later = { role: "orders-db/reader", issue: "later" };
    const parent = await agent.open({ credentials: [{ ...later, ttl: 30 }] });
    const child = await agent.child(parent, { credentials: [later] });
    const wider = await agent.child(parent, { credentials: [{ ...later, ttl: 600 }] });
    const narrower = await agent.child(wider, { credentials: [{ ...later, ttl: 10 }] });
    const below = await agent.child(narrower, { credentials: [later] });
    const declared = [child, wider, narrower, below].map(
      ({ task }) => task.descriptor.credentials[0]!.ttlSeconds,
    );
    expect(declared).toEqual([30, 30, 10, 10]);
    for (const [task, seconds] of [
      [child, 30],
      [below, 10],
    ] as const) {
      const draw = { task: task.task.id, credentials: [{ role: "orders-db/reader" }] };
      const { credentials } = await agent.under(task.taskToken, draw);
      expect(credentials[0]!.expiresAt).toBe(world.clock.now() + seconds * 1000);
    }
  });

  test("nests four deep and no deeper", async () => {
    const { agent } = await setUp();
    let task = await agent.open();
    for (let depth = 1; depth <= 4; depth++) task = await agent.child(task);
    const refused = await refusalOf(agent.child(task));
    expect(refused.where).toBe("authorization_details[0].parent");
  });

  test("needs its parent's own token", async () => {
    const { agent } = await setUp();
    const parent = await agent.open();
    const other = await agent.open();
    const stolen = { taskToken: other.taskToken, task: parent.task };
    expect((await refusalOf(agent.child(stolen))).code).toBe("invalid_task");
    const byIdentity = agent.open({ parent: parent.task.id });
    expect((await refusalOf(byIdentity)).code).toBe("invalid_task");
  });

  test("ends with its parent, credentials and all", async () => {
    const { world, core, agent } = await setUp();
    const parent = await agent.open();
    const child = await agent.child(parent);
    const grandchild = await agent.child(child);
    const { leases } = await core.endTask(
      { taskId: parent.task.id, by: ADMIN, state: "killed", reason: "drill", waitSeconds: 5 },
      world.context(),
    );
    expect(leases.map(({ state, outcome }) => [state, outcome])).toEqual(
      Array.from({ length: 3 }, () => ["ended", "revoked"]),
    );
    const states = world.ledger.inspect.tasks().map(({ state }) => state);
    expect(states).toEqual(["killed", "killed", "killed"]);
    expect((await refusalOf(agent.child(grandchild))).code).toBe("task_ended");
    expect(world.upstream.live()).toEqual([]);
  });
});

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const arbitraryCredential: fc.Arbitrary<JsonObject> = fc
  .record({
    role: fc.constantFrom("orders-db/reader", "orders-db/reader", "orders-db/writer"),
    groups: optional(fc.subarray(["read", "list"], { minLength: 1 })),
    connections: optional(fc.integer({ min: 1, max: 4 })),
    ttl: optional(fc.integer({ min: 1, max: 1200 })),
  })
  .map(({ role, groups, connections, ttl }) => ({
    role,
    params: {
      ...(groups === undefined ? {} : { groups }),
      ...(connections === undefined ? {} : { connections }),
    },
    ...(ttl === undefined ? {} : { ttl }),
  }));
const arbitraryTask = (deadline: { readonly min: number; readonly max: number }, most: number) =>
  fc
    .record({
      deadline: fc.integer(deadline),
      targets: fc.subarray(["orders-db:orders", "orders-db:invoices"]),
      credentials: fc.array(arbitraryCredential, { minLength: 1, maxLength: most }),
    })
    .map((details): JsonObject => details);

test("a child's authority lies within its parent's, whatever both ask for", async () => {
  const parents = arbitraryTask({ min: 300, max: 900 }, 3);
  const children = arbitraryTask({ min: 5, max: 400 }, 1);
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(parents, children, async (outer, inner) => {
      const { world, agent } = await setUp();
      const type = world.ports.backendTypes.get("fake")!;
      const parent = await agent.open(outer).catch(() => null);
      if (parent === null) return;
      const child = await agent.child(parent, inner).catch(() => null);
      if (child === null) return;
      expect(child.task.deadlineAt).toBeLessThanOrEqual(parent.task.deadlineAt);
      expect(parent.task.descriptor.targets).toEqual(
        expect.arrayContaining([...child.task.descriptor.targets]),
      );
      const leases = world.ledger.inspect.leases();
      const held = leases.filter(({ taskId }) => taskId === parent.task.id);
      for (const lease of leases.filter(({ taskId }) => taskId === child.task.id)) {
        const within = held.filter(({ role }) => role === lease.role);
        expect(within.some(({ plan }) => type.isWithin(lease.plan, plan))).toBe(true);
        compared++;
      }
    }),
    { numRuns: 150 },
  );
  // Else the property said nothing.
  expect(compared).toBeGreaterThan(5);
});

test("no credential outlives the ttl that was declared for it, at any depth, drawn or renewed", async () => {
  const ttl = fc.option(fc.integer({ min: 5, max: 300 }), { nil: undefined });
  const level = fc.record({
    ttl,
    draws: fc.array(fc.record({ ttl, waits: fc.array(fc.nat(40), { maxLength: 3 }) }), {
      maxLength: 2,
    }),
  });
  const seen = { leases: 0, renewed: 0, atTheBound: 0, inherited: 0 };
  const property = fc.asyncProperty(
    fc.array(level, { minLength: 1, maxLength: 4 }),
    async (levels) => {
      const { world, core, agent } = await setUp();
      const role = "orders-db/reader";
      const chain: Awaited<ReturnType<typeof agent.open>>[] = [];
      let least = Number.POSITIVE_INFINITY;
      for (const { ttl: declared, draws } of levels) {
        const credentials = [
          { role, issue: "later", ...(declared === undefined ? {} : { ttl: declared }) },
        ];
        const above = chain.at(-1);
        const opened = await (above === undefined
          ? agent.open({ credentials })
          : agent.child(above, { credentials }));
        chain.push(opened);
        if (declared === undefined && least < Number.POSITIVE_INFINITY) seen.inherited++;
        least = Math.min(least, declared ?? Number.POSITIVE_INFINITY);
        for (const { ttl: asked, waits } of draws) {
          const one = { role, ...(asked === undefined ? {} : { ttl: asked }) };
          const drawn = await agent.under(opened.taskToken, {
            task: opened.task.id,
            credentials: [one],
          });
          const leaseId = drawn.credentials[0]!.lease;
          for (const seconds of waits) {
            await world.clock.advance(seconds * 1000);
            const renewal = { leaseId, ttlSeconds: null, task: opened.task };
            await core.renewLease(renewal, world.context()).then(
              () => seen.renewed++,
              () => null,
            );
          }
          const lease = world.ledger.inspect.leases().find(({ id }) => id === leaseId)!;
          expect(lease.expiresAt - lease.reservedAt).toBeLessThanOrEqual(least * 1000);
          const made = world.upstream.all().find(({ name }) => name === lease.plan.externalName);
          expect(made?.expiresAt ?? 0).toBeLessThanOrEqual(lease.expiresAt);
          seen.leases++;
          if (lease.expiresAt - lease.reservedAt === least * 1000) seen.atTheBound++;
        }
      }
    },
  );
  await fc.assert(property, { numRuns: 100 });
  // Else the property said nothing.
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(5);
});
