import { describe, expect, test } from "vitest";
import { createFakeAgent, createFakeWorld, furnish, refusalOf } from "@mayfly/testkit";
import { BrokerError, type CredentialBackend } from "@mayfly/spec";
import { createCore } from "./create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp() {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const from = (role: string) => agent.open({ credentials: [{ role }] });
  return { world, core, agent, from };
}

describe("issuing is paused", () => {
  test("when no sweep finished within two intervals, and goes on after the next", async () => {
    const { world, core, agent } = await setUp();
    await world.clock.advance(20_000);
    await agent.open();
    await world.clock.advance(1001);
    const refused = await refusalOf(agent.open());
    expect(refused).toMatchObject({ code: "issuing_paused", retryAfterSeconds: 10 });
    expect(refused.message).toContain("sweep");
    await core.sweep(world.context());
    await agent.open();
  });

  test("for a backend whose listing is late, and for that one alone", async () => {
    const { world, core, from } = await setUp();
    const list = (id: string) =>
      core.listOrphans(
        world.ledger.inspect.leases().find((lease) => lease.backendId === id)!.backendId,
        world.context(),
      );
    await from("orders-db/reader");
    await from("other-db/reader");
    await list("orders-db");
    await world.clock.advance(119_000);
    await core.sweep(world.context());
    await list("other-db");
    await world.clock.advance(2000);
    await core.sweep(world.context());
    const refused = await refusalOf(from("orders-db/reader"));
    expect(refused.message).toContain("listed");
    expect((await from("other-db/reader")).credentials).toHaveLength(1);
    await list("orders-db");
    expect((await from("orders-db/reader")).credentials).toHaveLength(1);
  });

  test("for one that was never listed, after a grace for the new", async () => {
    const { world, core, agent } = await setUp();
    await world.clock.advance(121_000);
    await core.sweep(world.context());
    const refused = await refusalOf(agent.open());
    expect(refused.message).toContain("never been listed");
  });

  test("for a backend that lists nothing, while what its leases share cannot be looked after", async () => {
    const world = createFakeWorld();
    let fails = false;
    const types = [...world.ports.backendTypes].map(([name, type]): [string, CredentialBackend] => [
      name,
      {
        ...type,
        capabilities: { ...type.capabilities, canList: false },
        looksAfter: true,
        open: (config, host) => ({
          ...type.open(config, host),
          listing: { kind: "none" },
          upkeep: async () => {
            if (fails) throw new Error("the shared document could not be read");
          },
        }),
      },
    ]);
    const core = createCore({ ...world.ports, backendTypes: new Map(types) });
    await furnish(world, core);
    const agent = createFakeAgent(world, core);
    await agent.open();
    const { backendId } = world.ledger.inspect.leases()[0]!;
    await core.listOrphans(backendId, world.context());
    fails = true;
    await world.clock.advance(121_000);
    await core.sweep(world.context());
    await expect(core.listOrphans(backendId, world.context())).rejects.toThrow("shared document");
    const refused = await refusalOf(agent.open());
    expect(refused).toMatchObject({ code: "issuing_paused" });
    expect(refused.message).toContain("last looked after 121 s ago");
    fails = false;
    await core.listOrphans(backendId, world.context());
    await agent.open();
  });

  test("for a backend with too many stuck leases, and for that one alone", async () => {
    const { world, core, agent, from } = await setUp();
    const { task } = await agent.open({
      credentials: Array.from({ length: 6 }, () => ({ role: "orders-db/reader" })),
    });
    world.upstream.fail("revoke", "unavailable", 1000);
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 0,
    } as const;
    await core.endTask(end, world.context());
    for (let turn = 0; turn < 4; turn++) {
      await core.sweep(world.context());
      await world.clock.advance(15_000);
    }
    await core.sweep(world.context());
    const refused = await refusalOf(from("orders-db/reader"));
    expect(refused.message).toContain("6 of its leases are stuck");
    expect((await from("other-db/reader")).credentials).toHaveLength(1);
    world.upstream.heal();
    await world.clock.advance(301_000);
    await core.sweep(world.context());
    await core.listOrphans(world.ledger.inspect.leases()[0]!.backendId, world.context());
    expect((await from("orders-db/reader")).credentials).toHaveLength(1);
  });

  test("for a disabled backend, whose leases end all the same", async () => {
    const { world, core, agent } = await setUp();
    const { task } = await agent.open();
    const { backendId } = world.ledger.inspect.leases()[0]!;
    await core.setBackendEnabled(backendId, false, ADMIN);
    const refused = await refusalOf(agent.open());
    expect(refused.message).toContain("disabled");
    // Whoever waits for it in a loop would wait for ever.
    expect(refused.public["hint"]).toContain("ask them");
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 5,
    } as const;
    const { leases } = await core.endTask(end, world.context());
    expect(leases).toMatchObject([{ state: "ended", outcome: "revoked" }]);
    await core.setBackendEnabled(backendId, true, ADMIN);
    expect((await agent.open()).credentials).toHaveLength(1);
  });

  test("only after policy: who is denied does not learn it", async () => {
    const world = createFakeWorld();
    const core = createCore(world.ports);
    await furnish(world, core, []);
    await world.clock.advance(60_000);
    expect((await refusalOf(createFakeAgent(world, core).open())).code).toBe("denied");
  });

  test("its health is read ahead while exchanges come, and counts for a second at most", async () => {
    const { world } = await setUp();
    let reads = 0;
    const { health } = world.ports;
    const counting = {
      read: (id: Parameters<typeof health.read>[0]) => (reads++, health.read(id)),
    };
    const core = createCore({ ...world.ports, health: counting });
    const other = createFakeAgent(world, core);
    for (let turn = 0; turn < 5; turn++) await other.open();
    expect(reads).toBe(1);
    await world.clock.advance(750);
    for (let turn = 0; turn < 5; turn++) await other.open();
    expect(reads).toBe(2);
    await world.clock.advance(1000);
    await other.open();
    expect(reads).toBe(3);
  });

  test("nobody waits for a reading of its health while exchanges come, unless it is too old", async () => {
    const { world } = await setUp();
    const { health } = world.ports;
    let held: PromiseWithResolvers<void> | null = null;
    const slow = {
      read: async (id: Parameters<typeof health.read>[0]) => {
        await held?.promise;
        return health.read(id);
      },
    };
    const core = createCore({ ...world.ports, health: slow });
    const agent = createFakeAgent(world, core);
    const open = async (): Promise<string> => {
      const opened = agent.open().then(({ credentials }) => `${credentials.length} credential`);
      return Promise.race([opened, world.clock.settle().then(() => "waits")]);
    };
    await agent.open();
    await world.clock.advance(800);
    held = Promise.withResolvers();
    expect(await open()).toBe("1 credential");
    held.resolve();
    await world.clock.settle();
    held = Promise.withResolvers();
    await world.clock.advance(900);
    expect(await open()).toBe("1 credential");
    await world.clock.advance(100);
    expect(await open()).toBe("waits");
    held.resolve();
  });

  test("a reading that fails ahead of its time refuses nobody, and the next one is asked for", async () => {
    const { world } = await setUp();
    const { health } = world.ports;
    let fails = false;
    const failing = {
      read: async (id: Parameters<typeof health.read>[0]) => {
        if (fails) throw new BrokerError("ledger_unavailable", "The ledger does not answer.");
        return health.read(id);
      },
    };
    const core = createCore({ ...world.ports, health: failing });
    const agent = createFakeAgent(world, core);
    await agent.open();
    fails = true;
    await world.clock.advance(800);
    expect((await agent.open()).credentials).toHaveLength(1);
    await world.clock.advance(200);
    expect((await refusalOf(agent.open())).code).toBe("ledger_unavailable");
    fails = false;
    expect((await agent.open()).credentials).toHaveLength(1);
  });
});
