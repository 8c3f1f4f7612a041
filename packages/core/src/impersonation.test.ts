import { expect, test } from "vitest";
import {
  INVOICE_BOT,
  createFakeAgent,
  createFakeWorld,
  fakeIdentity,
  furnish,
  proofOf,
  refusalOf,
  WORLD_ISSUER,
  type FakePolicyRule,
} from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const LOGIN = "https://login.acme.test";
const ALICE = `${LOGIN}#alice`;
const PERMIT_ALL: FakePolicyRule = { id: "all", effect: "permit" };
const PAIR: FakePolicyRule = {
  id: "bot-as-alice",
  effect: "permit",
  workload: INVOICE_BOT,
  impersonate: ALICE,
};

async function setUp(rules: readonly FakePolicyRule[] = [PERMIT_ALL, PAIR]) {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core, rules);
  const config = { issuer: LOGIN, identity_max_age_seconds: 3600, initiators: true };
  await core.putTrustRoot({ trust: "login", kind: "oidc", config }, ADMIN);
  const agent = createFakeAgent(world, core);
  const impersonate = (key?: string) =>
    agent.open(
      { impersonate: true },
      {
        presented: fakeIdentity({
          kind: "oidc",
          issuer: LOGIN,
          subject: "alice",
          audience: WORLD_ISSUER,
          expiresAt: world.clock.now() + 300_000,
        }),
        actor: proofOf(world.clock),
        ...(key === undefined ? {} : { key }),
      },
    );
  return { world, core, agent, impersonate };
}

test("a token that impersonates is none of a task that does not", async () => {
  const { world, core, agent, impersonate } = await setUp();
  const { task } = await agent.open();
  const claims = world.taskTokens.lastClaims!;
  const forged = await world.taskTokens.sign({
    ...claims,
    subject: ALICE,
    actors: [INVOICE_BOT],
    impersonates: true,
  });
  const refused = await refusalOf(core.heartbeat({ token: forged }, world.context()));
  expect(refused.code).toBe("unauthenticated");
  expect(await core.introspect(forged, world.context())).toBeNull();
  const other = await impersonate();
  expect(other.task.id).not.toBe(task.id);
  const beat = await core.heartbeat({ token: other.taskToken }, world.context());
  expect(beat.task.id).toBe(other.task.id);
});

test("the decision on the pair is durable before the task is, and names the task", async () => {
  const { world, impersonate } = await setUp();
  let seen: readonly unknown[] = [];
  world.failPoints.at("issue.before", async () => {
    seen = world.ledger.inspect.events().map(({ kind }) => kind);
  });
  const { task } = await impersonate();
  expect(seen.filter((kind) => kind === "decision.permitted")).toHaveLength(2);
  const chain = await world.ledger.queries.taskChain(task.id);
  const actions = chain?.decisions.map(({ request }) => request["action"]);
  expect(actions?.toSorted()).toEqual(["impersonate", "issue"]);
});

test("a repetition under its key is decided anew", async () => {
  const { world, core, impersonate } = await setUp();
  const first = await impersonate("key-1");
  expect((await impersonate("key-1")).task.id).toBe(first.task.id);
  await core.activatePolicies([{ name: "fake.json", text: JSON.stringify([PERMIT_ALL]) }], ADMIN);
  const refused = await refusalOf(impersonate("key-1"));
  expect(refused).toMatchObject({ code: "denied", where: "task" });
  expect(world.taskTokens.lastClaims).toMatchObject({ taskId: first.task.id });
});

test("renewing what such a task holds asks for the pair too", async () => {
  const { world, core, impersonate } = await setUp();
  const { task, credentials } = await impersonate();
  await world.clock.advance(60_000);
  await core.activatePolicies([{ name: "fake.json", text: JSON.stringify([PERMIT_ALL]) }], ADMIN);
  const request = { leaseId: credentials[0]!.lease, ttlSeconds: null, task };
  const refused = await refusalOf(core.renewLease(request, world.context()));
  expect(refused).toMatchObject({ code: "denied", where: "task" });
  const denied = await world.ledger.queries.taskChain(task.id);
  expect(denied?.decisions.map(({ verdict }) => verdict.effect)).toContain("deny");
});
