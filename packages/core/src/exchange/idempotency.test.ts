import { describe, expect, test } from "vitest";
import type { JsonObject } from "@mayfly/spec";
import {
  REPORT_BOT,
  createFakeAgent,
  createFakeWorld,
  furnish,
  loginOf,
  proofOf,
  refusalOf,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp() {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  return { world, core, agent: createFakeAgent(world, core) };
}

describe("an exchange that is repeated with its Idempotency-Key", () => {
  test("reuses the task, gives another secret and ends the first", async () => {
    const { world, core, agent } = await setUp();
    const first = await agent.open({}, { key: "k1" });
    const second = await agent.open({}, { key: "k1" });
    expect(second.task.id).toBe(first.task.id);
    const [one, two] = [first, second].map(({ credentials }) => loginOf(credentials[0]!));
    expect(two!.password.expose("reply")).not.toBe(one!.password.expose("reply"));
    await core.sweep(world.context());
    const states = world.ledger.inspect.leases().map(({ state }) => state);
    expect(states).toEqual(["ended", "active"]);
    expect(world.upstream.live()).toHaveLength(1);
  });

  test("and another body is refused", async () => {
    const { agent } = await setUp();
    await agent.open({}, { key: "k1", body: "one" });
    const refused = await refusalOf(agent.open({}, { key: "k1", body: "other" }));
    expect(refused.code).toBe("idempotency_mismatch");
  });

  test("is nobody else's: keys of two workloads do not meet", async () => {
    const { agent } = await setUp();
    const first = await agent.open({}, { key: "k1" });
    const second = await agent.open({}, { key: "k1", subject: REPORT_BOT });
    expect(second.task.id).not.toBe(first.task.id);
  });

  test("after the ledger's acknowledgement was lost, finds the task that it opened", async () => {
    const { world, core, agent } = await setUp();
    world.ledger.faults.loseAcknowledgement("reserve");
    expect((await refusalOf(agent.open({}, { key: "k1" }))).code).toBe("ledger_unavailable");
    const [task] = world.ledger.inspect.tasks();
    const again = await agent.open({}, { key: "k1" });
    expect(again.task.id).toBe(task!.id);
    expect(world.ledger.inspect.tasks()).toHaveLength(1);
    await world.clock.advance(30_000);
    await core.sweep(world.context());
    await world.clock.advance(30_000);
    await core.sweep(world.context());
    expect(world.upstream.live()).toHaveLength(1);
  });

  test("while the first is still minting, has the first withheld", async () => {
    const { world, agent } = await setUp();
    const gate = Promise.withResolvers<void>();
    let visits = 0;
    world.failPoints.at("issue.after", async () => {
      if (++visits === 1) await gate.promise;
    });
    const first = refusalOf(agent.open({}, { key: "k1" }));
    await world.clock.settle();
    const second = await agent.open({}, { key: "k1" });
    gate.resolve();
    expect((await first).code).toBe("conflict");
    expect(second.credentials).toHaveLength(1);
    expect(world.upstream.live()).toHaveLength(1);
  });

  test("of two at once, one wins and the other begins again", async () => {
    const { world, agent } = await setUp();
    const both = await Promise.allSettled([
      agent.open({}, { key: "k1" }),
      agent.open({}, { key: "k1" }),
    ]);
    expect(world.ledger.inspect.tasks()).toHaveLength(1);
    expect(both.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(0);
  });

  test("a one-time token counts once, unless the very same request is repeated", async () => {
    const { world, core, agent } = await setUp();
    const config = { issuer: "https://ci.test", one_time_tokens: true };
    await core.putTrustRoot({ trust: "ci", kind: "oidc", config }, ADMIN);
    const presented = proofOf(world.clock, "repo:acme/app", {
      kind: "oidc",
      issuer: "https://ci.test",
      jti: "once",
    });
    const first = await agent.open({}, { presented, key: "k1" });
    const again = await agent.open({}, { presented, key: "k1" });
    expect(again.task.id).toBe(first.task.id);
    expect((await refusalOf(agent.open({}, { presented }))).code).toBe("replayed");
    const beat = core.heartbeat({ taskId: first.task.id, presented }, world.context());
    expect((await refusalOf(beat)).code).toBe("replayed");
  });

  test("a one-time token is used up by a denial too", async () => {
    const { world, core, agent } = await setUp();
    const config = { issuer: "https://ci.test", one_time_tokens: true };
    await core.putTrustRoot({ trust: "ci", kind: "oidc", config }, ADMIN);
    const tokenOf = (jti: string) =>
      proofOf(world.clock, "repo:acme/app", { kind: "oidc", issuer: "https://ci.test", jti });
    const codeOf = async (
      presented: ReturnType<typeof tokenOf>,
      details: JsonObject,
      key?: string,
    ) =>
      (await refusalOf(agent.open(details, { presented, ...(key === undefined ? {} : { key }) })))
        .code;
    const credentials = [{ role: "orders-db/none" }, { role: "orders-db/no-such" }];
    const plain = tokenOf("plain");
    expect(await codeOf(plain, { credentials })).toBe("denied");
    expect(await codeOf(plain, { credentials })).toBe("replayed");
    expect(await codeOf(plain, {})).toBe("replayed");
    const keyed = tokenOf("keyed");
    expect(await codeOf(keyed, { credentials }, "k1")).toBe("denied");
    expect(await codeOf(keyed, { credentials }, "k1")).toBe("denied");
    expect(await codeOf(keyed, { credentials }, "k2")).toBe("replayed");
    expect(world.ledger.inspect.tasks()).toEqual([]);
  });
});
