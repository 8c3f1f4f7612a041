import { describe, expect, test } from "vitest";
import { Secret, type JsonObject } from "@mayfly/spec";
import {
  INVOICE_BOT,
  REPORT_BOT,
  WORLD_PASSWORDS,
  createFakeAgent,
  createFakeWorld,
  fakePolicySource,
  furnish,
  loginOf,
  proofOf,
  refusalOf,
  type FakePolicyRule,
  type FakeWorldOptions,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(options: FakeWorldOptions = {}, rules?: readonly FakePolicyRule[]) {
  const world = createFakeWorld(options);
  const core = createCore(world.ports);
  await furnish(world, core, rules);
  return { world, core, agent: createFakeAgent(world, core) };
}

const trustRoot = (config: JsonObject) => ({
  trust: "acme.test",
  kind: "spiffe" as const,
  config: { issuer: "spiffe://acme.test", ...config },
});

const readersOnly: readonly FakePolicyRule[] = [
  { id: "readers", effect: "permit", workload: INVOICE_BOT, role: "orders-db/reader" },
];

describe("the exchange", () => {
  test("mints what policy permits, and the credential opens the door", async () => {
    const { world, agent } = await setUp();
    const reply = await agent.open();
    const [credential] = reply.credentials;
    expect(credential).toMatchObject({
      role: "orders-db/reader",
      kind: "fake-password",
      expiryEnforcedBy: "upstream",
      revocation: "immediate",
      expiresAt: reply.task.deadlineAt,
    });
    const { username, password } = loginOf(credential!);
    expect(world.upstream.logIn(username, password.expose("reply"))).toBe("accepted");
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "active" }]);
    world.log.assertNoSecret(password, reply.taskToken, ...WORLD_PASSWORDS);
  });

  test("goes reserve, issue, activate, schedule, in this order", async () => {
    const { world, agent } = await setUp();
    await agent.open();
    expect(world.failPoints.visits).toEqual([
      "reserve.before",
      "reserve.after",
      "issue.before",
      "issue.after",
      "activate.after",
      "schedule.after",
    ]);
    await world.clock.settle();
    expect(world.alarm.pending).toMatchObject([{ generation: 0, backendId: "orders-db" }]);
  });

  test("never waits for the queue, and a queue that is down fails nothing", async () => {
    const { world, agent } = await setUp();
    world.alarm.failWith(new Error("the queue is down"));
    expect((await agent.open()).credentials).toHaveLength(1);
    await world.clock.settle();
    expect(world.log.messages("warn")).toContain("background work failed");
  });

  test("the lease's row is durable before the backend hears of it", async () => {
    const { world, agent } = await setUp();
    let seen: readonly string[] = [];
    world.failPoints.at("issue.before", async () => {
      seen = world.ledger.inspect.leases().map(({ state }) => state);
      expect(world.upstream.all()).toEqual([]);
    });
    await agent.open();
    expect(seen).toEqual(["reserved"]);
  });

  test("settleBy is issueBy, the longest call and twice the skew", async () => {
    const { world, agent } = await setUp();
    await agent.open();
    const [lease] = world.ledger.inspect.leases();
    expect(lease!.issueBy - lease!.reservedAt).toBe(2000);
    expect(lease!.settleBy - lease!.issueBy).toBe(1000 + 2 * 1000);
  });

  test("expires at the least of role, request and task", async () => {
    const { world, agent } = await setUp();
    const expiry = async (details: JsonObject) =>
      ((await agent.open(details)).credentials[0]!.expiresAt - world.clock.now()) / 1000;
    const credentials = [{ role: "orders-db/reader", ttl: "2m" }];
    expect(await expiry({ deadline: "1h" })).toBe(1800);
    expect(await expiry({ deadline: "1h", credentials })).toBe(120);
    expect(await expiry({ deadline: "1m", credentials })).toBe(60);
  });

  test("a task token dies with the task, its own bound or the proof of identity", async () => {
    const { world, agent } = await setUp();
    const life = async (deadline: string) =>
      ((await agent.open({ deadline })).taskTokenExpiresAt - world.clock.now()) / 1000;
    expect(await life("1h")).toBe(600);
    expect(await life("2m")).toBe(120);
    const { taskToken, task } = await agent.open({ deadline: "2h" });
    let token = taskToken;
    for (let minutes = 0; minutes < 55; minutes += 5) {
      await world.clock.advance(300_000);
      token = (await agent.under(token, { task: task.id })).taskToken;
    }
    expect((world.taskTokens.lastClaims!.expiresAt - world.clock.now()) / 1000).toBe(300);
    await world.clock.advance(299_000);
    expect((await agent.under(token, { task: task.id })).taskTokenExpiresAt).toBe(
      world.clock.now() + 1000,
    );
  });

  test("a declared credential is drawn later with the task token, no wider than declared", async () => {
    const { world, agent } = await setUp();
    const credentials = [
      { role: "orders-db/reader", params: { groups: ["read"] }, ttl: 60, issue: "later" },
    ];
    const { taskToken, task, credentials: none } = await agent.open({ credentials });
    expect(none).toEqual([]);
    const draw = (asked: JsonObject) =>
      agent.under(taskToken, { task: task.id, credentials: [asked] });
    const drawn = await draw({ role: "orders-db/reader", params: { groups: ["read"] } });
    expect(drawn.credentials[0]!.expiresAt - world.clock.now()).toBe(60_000);
    const wider = await refusalOf(draw({ role: "orders-db/reader" }));
    expect(wider).toMatchObject({
      code: "invalid_task",
      where: "authorization_details[0].credentials[0].params",
    });
    const undeclared = await refusalOf(draw({ role: "orders-db/writer" }));
    expect(undeclared.message).toContain("did not declare orders-db/writer");
  });

  test("the same workload may draw with a fresh identity; nobody else learns that the task exists", async () => {
    const { world, agent } = await setUp();
    const { task } = await agent.open();
    await world.clock.advance(1000);
    const drawn = await agent.prove({
      task: task.id,
      credentials: [{ role: "orders-db/reader" }],
    });
    expect(drawn.credentials).toHaveLength(1);
    expect(drawn.task.identityProvenAt).toBe(world.clock.now());
    const stranger = await refusalOf(agent.prove({ task: task.id }, { subject: REPORT_BOT }));
    const nowhere = await refusalOf(
      agent.prove({ task: "task_00000000000070008000000000000000" }, { subject: REPORT_BOT }),
    );
    expect(stranger.code).toBe("not_found");
    expect(stranger.message.replace(task.id, "")).toBe(
      nowhere.message.replace("task_00000000000070008000000000000000", ""),
    );
  });

  test("a task token alone no longer counts when identity was proven too long ago", async () => {
    const { world, core, agent } = await setUp();
    await core.putTrustRoot(trustRoot({ identity_max_age_seconds: 120 }), ADMIN);
    const { taskToken, task } = await agent.open({ deadline: "1h" });
    await world.clock.advance(119_000);
    await agent.under(taskToken, { task: task.id });
    // A verifier that is lax about expiry stands in for a token that outlived its proof.
    const claims = { ...world.taskTokens.lastClaims!, expiresAt: task.deadlineAt };
    const longLived = await world.taskTokens.sign(claims);
    await world.clock.advance(1000);
    const refused = await refusalOf(agent.under(longLived, { task: task.id }));
    expect(refused.code).toBe("invalid_identity");
    expect(refused.public["hint"]).toContain("afresh");
    const again = await agent.prove({ task: task.id });
    expect(again.taskTokenExpiresAt).toBe(world.clock.now() + 120_000);
  });

  test("a task token says which task, never that it lives: its row is read at every use", async () => {
    const { world, core, agent } = await setUp();
    const { taskToken, task } = await agent.open();
    await core.endTask(
      { taskId: task.id, by: ADMIN, state: "killed", reason: "drill", waitSeconds: 0 },
      world.context(),
    );
    const refused = await refusalOf(
      agent.under(taskToken, { task: task.id, credentials: [{ role: "orders-db/reader" }] }),
    );
    expect(refused.code).toBe("task_ended");
  });

  test("an initiator is verified when it came in a token, and policy's workload is the actor's", async () => {
    const { world, core, agent } = await setUp({}, [
      { id: "bot", effect: "permit", workload: INVOICE_BOT },
    ]);
    const alice = "spiffe://acme.test/people/alice";
    await core.putTrustRoot(trustRoot({ initiators: true }), ADMIN);
    const reply = await agent.open(
      { initiator: "bob" },
      { subject: alice, actor: proofOf(world.clock, INVOICE_BOT) },
    );
    expect(reply.task).toMatchObject({
      verifiedInitiator: alice,
      workload: { subject: INVOICE_BOT },
      descriptor: { claimedInitiator: "bob" },
    });
  });

  test("a workload of a trust root that is not for people makes no initiator", async () => {
    const { world, core, agent } = await setUp();
    const opening = () =>
      agent.open({}, { subject: REPORT_BOT, actor: proofOf(world.clock, INVOICE_BOT) });
    const refused = await refusalOf(opening());
    expect(refused).toMatchObject({ code: "invalid_identity", where: "subject_token" });
    expect(refused.message).toContain("trust root acme.test");
    expect(refused.public["hint"]).toContain("initiators: true");
    expect(world.ledger.inspect.leases()).toEqual([]);
    await core.putTrustRoot(trustRoot({ initiators: true }), ADMIN);
    const { task } = await opening();
    expect(task.verifiedInitiator).toBe(REPORT_BOT);
    await core.putTrustRoot(trustRoot({}), ADMIN);
    const drawing = agent.prove(
      { task: task.id },
      { subject: REPORT_BOT, actor: proofOf(world.clock, INVOICE_BOT) },
    );
    expect(await refusalOf(drawing)).toMatchObject({ code: "invalid_identity" });
  });
});

describe("a refused exchange", () => {
  test("a denial names who, what and which policy, and is durable before it is answered", async () => {
    const { world, agent } = await setUp({}, [
      ...readersOnly,
      { id: "no-writes", effect: "forbid", role: "orders-db/writer" },
    ]);
    const credentials = [{ role: "orders-db/writer" }];
    const denied = await refusalOf(agent.open({ credentials }));
    expect(denied).toMatchObject({
      code: "denied",
      public: { determining_policies: ["no-writes"] },
    });
    expect(denied.public["decision"]).toMatch(/^dec_/);
    expect(denied.message).toContain("no-writes");
    const events = world.ledger.inspect.events().filter(({ kind }) => kind === "decision.denied");
    expect(events).toHaveLength(1);
    expect(events[0]!.decisionId).toBe(denied.public["decision"]);

    world.ledger.faults.refuse("recordDenial");
    const unrecorded = await refusalOf(agent.open({ credentials }));
    expect(unrecorded.code).toBe("ledger_unavailable");
  });

  test("an unknown role and one that nothing permits look the same", async () => {
    const { agent } = await setUp({}, readersOnly);
    const ask = async (role: string, params: JsonObject = {}) => {
      const error = await refusalOf(agent.open({ credentials: [{ role, params }] }));
      const { decision, hint, ...shown } = error.public;
      expect(hint).toContain(decision);
      return { code: error.code, where: error.where, shown, text: error.message };
    };
    const known = await ask("orders-db/writer");
    const same = { ...known, text: known.text.replace("orders-db/writer", "nowhere/nothing") };
    expect(await ask("nowhere/nothing")).toEqual(same);
    // Nor does a complaint about parameters tell that the role is there.
    expect(await ask("orders-db/writer", { nonsense: true })).toEqual(known);
    expect(await ask("nowhere/nothing", { nonsense: true })).toEqual(same);
  });

  test("whoever may have the role is told what is wrong with the parameters", async () => {
    const { agent } = await setUp();
    const credentials = [{ role: "orders-db/reader", params: { nonsense: true } }];
    const refused = await refusalOf(agent.open({ credentials }));
    expect(refused.code).toBe("invalid_task");
    expect(refused.where).toBe("authorization_details[0].credentials[0].params.nonsense");
  });

  test("what proves no identity writes no row", async () => {
    const { world, agent } = await setUp();
    const before = world.ledger.inspect.events().length;
    const forged = { kind: "jwt", token: Secret.of("not-a-token") } as const;
    expect((await refusalOf(agent.open({}, { presented: forged }))).code).toBe("invalid_identity");
    const expired = proofOf(world.clock, INVOICE_BOT, { expiresAt: 1 });
    expect((await refusalOf(agent.open({}, { presented: expired }))).code).toBe("invalid_identity");
    const { code } = await refusalOf(agent.under(Secret.of("no-task-token"), {}));
    expect(code).toBe("unauthenticated");
    expect(world.ledger.inspect.events()).toHaveLength(before);
    expect(world.ledger.inspect.tasks()).toEqual([]);
  });

  test("identity is asked before the descriptor is read", async () => {
    const { agent } = await setUp();
    const forged = { kind: "jwt", token: Secret.of("not-a-token") } as const;
    const refused = await refusalOf(agent.open({ nonsense: 1 }, { presented: forged }));
    expect(refused.code).toBe("invalid_identity");
  });

  test("a role that policy does not permit mints nothing of the others either", async () => {
    const { world, agent } = await setUp({}, readersOnly);
    const credentials = [{ role: "orders-db/reader" }, { role: "orders-db/writer" }];
    expect((await refusalOf(agent.open({ credentials }))).code).toBe("denied");
    expect(world.ledger.inspect.leases()).toEqual([]);
    expect(world.ledger.inspect.tasks()).toEqual([]);
    expect(world.upstream.calls.filter(({ operation }) => operation === "issue")).toEqual([]);
  });
});

describe("a catalog that changed in another process", () => {
  test("a cached permit does not outlive its policy", async () => {
    const { world, core, agent } = await setUp();
    await agent.open();
    const elsewhere = createCore(world.ports);
    await elsewhere.activatePolicies([fakePolicySource([])], ADMIN);
    expect((await refusalOf(agent.open())).code).toBe("denied");
    await core.close();
  });

  test("a cached denial is looked at again before it is answered", async () => {
    const { world, agent } = await setUp({}, []);
    expect((await refusalOf(agent.open())).code).toBe("denied");
    const elsewhere = createCore(world.ports);
    await elsewhere.activatePolicies([fakePolicySource(readersOnly)], ADMIN);
    expect((await agent.open()).credentials).toHaveLength(1);
    const denials = world.ledger.inspect.events().filter(({ kind }) => kind === "decision.denied");
    expect(denials).toHaveLength(1);
  });

  test("a trust root that was removed vouches for nobody", async () => {
    const { world, core, agent } = await setUp();
    await agent.open();
    // Behind this core's back: its verifiers still have the root.
    await world.ledger.catalog.deleteTrustRoot(
      world.ledger.inspect.tasks()[0]!.workload.trustRoot,
      ADMIN,
    );
    expect((await refusalOf(agent.open())).code).toBe("invalid_identity");
    expect(world.ledger.inspect.leases()).toHaveLength(1);
    await core.close();
  });
});
