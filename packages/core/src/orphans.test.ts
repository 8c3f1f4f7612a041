import { describe, expect, test } from "vitest";
import { parseBackendId, type CredentialBackend } from "@mayfly/spec";
import {
  createFakeAgent,
  createFakeWorld,
  createMemoryLedger,
  furnish,
  refusalOf,
  type FakeWorldOptions,
} from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

const ORDERS = parseBackendId("orders-db", "id");
const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(options: FakeWorldOptions = {}) {
  const world = createFakeWorld(options);
  const core = createCore(world.ports);
  await furnish(world, core);
  return { world, core, agent: createFakeAgent(world, core) };
}

describe("listing orphans", () => {
  test("leaves what has a live lease alone", async () => {
    const { world, core, agent } = await setUp();
    for (let turn = 0; turn < 7; turn++) await agent.open();
    const found = await core.listOrphans(ORDERS, world.context());
    expect(found).toEqual({
      backendId: ORDERS,
      listed: true,
      marked: 7,
      orphans: [],
      foreign: 0,
      unverified: 0,
    });
    await core.sweep(world.context());
    expect(world.upstream.live()).toHaveLength(7);
  });

  test("reopens a lease whose credential came back, destroys it and raises an alert", async () => {
    const { world, core, agent } = await setUp();
    const { task } = await agent.open();
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 5,
    } as const;
    // The lie goes unseen: revoke and probe both pretend.
    world.upstream.fail("revoke", "pretend");
    world.upstream.fail("probe", "pretend");
    await core.endTask(end, world.context());
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended" }]);
    expect(world.upstream.live()).toHaveLength(1);
    await world.clock.advance(1);

    const found = await core.listOrphans(ORDERS, world.context());
    expect(found.orphans).toEqual([world.ledger.inspect.leases()[0]!.id]);
    expect(world.log.messages("error").join()).toContain("orphans");
    await core.sweep(world.context());
    expect(world.upstream.live()).toEqual([]);
    expect(world.ledger.inspect.leases()).toMatchObject([
      { state: "ended", outcome: "revoked", endReason: "resurfaced" },
    ]);
  });

  test("leaves alone what ended between its listing and its look-up; the next finds it gone", async () => {
    const { world, core, agent } = await setUp();
    const { task } = await agent.open();
    await agent.open();
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "completed",
      reason: "",
      waitSeconds: 5,
    } as const;
    const { sweepLedger } = world.ports;
    let ended = 0;
    const racing = createCore({
      ...world.ports,
      sweepLedger: {
        ...sweepLedger,
        adoptOrphans: async (...listed) => {
          await world.clock.advance(20);
          const { leases } = await core.endTask(end, world.context());
          ended += leases.filter(({ outcome }) => outcome === "revoked").length;
          return sweepLedger.adoptOrphans(...listed);
        },
      },
    });
    const found = await racing.listOrphans(ORDERS, world.context());
    expect(ended).toBe(1);
    expect(found).toMatchObject({ marked: 2, orphans: [] });
    expect(world.log.messages("error")).toEqual([]);
    const kinds = world.ledger.inspect.events().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "lease.ended")).toHaveLength(1);
    expect(kinds).not.toContain("lease.resurfaced");
    await world.clock.advance(20);
    const next = await core.listOrphans(ORDERS, world.context());
    expect(next).toMatchObject({ marked: 1, orphans: [] });
  });

  test("gives a lease to what a restore lost, and ends it", async () => {
    const { world, agent } = await setUp();
    await agent.open();
    await world.clock.advance(1);
    const restored = createMemoryLedger(world.clock);
    const core = createCore({
      ...world.ports,
      issueLedger: restored.issue,
      taskLedger: restored.tasks,
      selectorEnds: restored.selectorEnds,
      sweepLedger: restored.sweep,
      health: restored.health,
      catalog: restored.catalog,
    });
    await furnish(world, core);
    expect((await core.listOrphans(ORDERS, world.context())).orphans).toHaveLength(1);
    await core.sweep(world.context());
    expect(world.upstream.live()).toEqual([]);
    expect(restored.inspect.leases()).toMatchObject([{ state: "ended", taskId: null }]);
  });

  test("reports what does not verify or is not ours, and never touches it", async () => {
    const { world, core, agent } = await setUp();
    await agent.open();
    world.upstream.forgeTag(world.upstream.all()[0]!.name);
    const made = world.upstream.all()[0]!;
    world.upstream.create({
      ...made,
      name: made.name.replace("testaaaa", "otherbbb"),
      issueBy: world.clock.now(),
    });
    const found = await core.listOrphans(ORDERS, world.context());
    expect(found).toMatchObject({ orphans: [], foreign: 1, unverified: 1 });
    await core.sweep(world.context());
    expect(world.upstream.live()).toHaveLength(2);
  });

  test("a mark copied to another backend does not verify there", async () => {
    const { world, core, agent } = await setUp();
    const { task } = await agent.open();
    const made = world.upstream.all()[0]!;
    const ended = { taskId: task.id, by: ADMIN, state: "completed", reason: "" } as const;
    await core.endTask({ ...ended, waitSeconds: 5 }, world.context());
    await world.clock.advance(1);
    world.otherUpstream.create({ ...made, issueBy: world.clock.now() });
    const found = await core.listOrphans(parseBackendId("other-db", "id"), world.context());
    expect(found).toMatchObject({ marked: 1, orphans: [], unverified: 1 });
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended" }]);
    expect(world.log.messages("warn").join()).toContain("do not verify");
  });

  test("of a type that cannot list is recorded, so that nobody takes it for overdue", async () => {
    const { world, core } = await setUp({ capabilities: { canList: false } });
    const age = async () => (await world.ports.health.read(ORDERS)).listingAgeSeconds;
    await world.clock.advance(100_000);
    expect(await core.listOrphans(ORDERS, world.context())).toMatchObject({
      listed: false,
      marked: 0,
    });
    expect(await age()).toBe(0);
  });

  test("that fails midway is not recorded as a listing", async () => {
    const { world, core, agent } = await setUp();
    await agent.open();
    world.upstream.fail("list", "unavailable");
    expect((await refusalOf(core.listOrphans(ORDERS, world.context()))).code).toBe(
      "backend_unavailable",
    );
    const health = await world.ledger.health.read(ORDERS);
    expect(health.listingAgeSeconds).toBeNull();
  });

  test("that hangs is given up, and delays no other backend", async () => {
    const { world, core } = await setUp();
    world.upstream.fail("list", "hang");
    const hanging = core.listOrphans(ORDERS, world.context()).then(
      () => "listed",
      () => "gave up",
    );
    const other = await core.listOrphans(parseBackendId("other-db", "id"), world.context());
    expect(other.listed).toBe(true);
    await world.clock.advance(30_000);
    expect(await hanging).toBe("gave up");
  });

  test("first looks after what leases share, and counts as done only when that was", async () => {
    const world = createFakeWorld();
    let fails = false;
    const looked: string[] = [];
    const types = [...world.ports.backendTypes].map(([name, type]): [string, CredentialBackend] => [
      name,
      {
        ...type,
        open: (config, host) => ({
          ...type.open(config, host),
          upkeep: async () => {
            looked.push(host.backendId);
            if (fails) throw new Error("the shared document could not be read");
          },
        }),
      },
    ]);
    const core = createCore({ ...world.ports, backendTypes: new Map(types) });
    await furnish(world, core);
    const agoSeconds = async (): Promise<number | null> =>
      (await world.ports.health.read(ORDERS)).listingAgeSeconds;
    await core.listOrphans(ORDERS, world.context());
    expect(looked).toEqual([ORDERS]);
    await world.clock.advance(1_000);
    fails = true;
    await expect(core.listOrphans(ORDERS, world.context())).rejects.toThrow("shared document");
    expect(await agoSeconds()).toBe(1);
  });
});
