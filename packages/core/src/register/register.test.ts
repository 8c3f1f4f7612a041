import { describe, expect, test } from "vitest";
import { parseBackendId, type BackendId } from "@mayfly/spec";
import {
  WORLD_PASSWORDS,
  createFakeAgent,
  createFakeSealer,
  createFakeWorld,
  furnish,
  refusalOf,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";
import { isSameJson } from "./same-json.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const ORDERS: BackendId = parseBackendId("orders-db", "id");

async function setUp() {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  const register = (changes: object = {}) =>
    core.registerBackend(
      {
        id: "orders-db",
        type: "fake",
        config: { address: "orders.test", password: WORLD_PASSWORDS[0] },
        ...changes,
      },
      ADMIN,
      world.context(),
    );
  const role = (changes: object = {}) =>
    core.putRole(
      {
        role: "orders-db/auditor",
        data_class: "restricted",
        reversibility: "read_only",
        environment: "prod",
        groups: ["read"],
        ...changes,
      },
      ADMIN,
      world.context(),
    );
  return { world, core, register, role };
}

describe("registering a backend", () => {
  test("that is there already changes nothing, though sealing gives other bytes", async () => {
    const { world, register } = await setUp();
    const before = await world.ledger.catalog.version();
    expect(await register()).toMatchObject({ put: "unchanged", backend: { revision: 1 } });
    expect(await world.ledger.catalog.version()).toBe(before);
  });

  test("with another configuration makes the next revision, and shows no secret of it", async () => {
    const { world, core, register } = await setUp();
    const config = { address: "replica.test", password: "rotated-password-1" };
    expect(await register({ config })).toMatchObject({
      put: "updated",
      backend: { revision: 2, config: { address: "replica.test", password: "[secret]" } },
    });
    const shown = JSON.stringify([await core.catalogView(), world.ledger.inspect.events()]);
    expect(shown).toContain("replica.test");
    expect(shown).not.toContain("rotated-password-1");
    world.log.assertNoSecret("rotated-password-1", ...WORLD_PASSWORDS);
    expect((await createFakeAgent(world, core).open()).credentials).toHaveLength(1);
  });

  test("is refused with every problem of its self-check", async () => {
    const { world, register } = await setUp();
    world.upstream.fail("selfCheck", "pretend");
    const refused = await refusalOf(register());
    expect(refused).toMatchObject({
      code: "check_failed",
      public: { problems: [{ code: "fake_right_missing", fix: "Call heal()." }] },
    });
    expect(refused.message).toContain("Call heal().");
  });

  test("is refused when its self-check gets no answer: which one, and how long was waited", async () => {
    const { world, core, register } = await setUp();
    world.upstream.fail("selfCheck", "hang");
    const refused = refusalOf(register());
    await world.clock.advance(30_000);
    world.upstream.fail("selfCheck", "hang");
    const tested = refusalOf(core.testBackend(ORDERS, ADMIN, world.context()));
    await world.clock.advance(30_000);
    for (const error of [await refused, await tested]) {
      expect(error.code).toBe("backend_unavailable");
      expect(error.message).toContain("orders-db");
      expect(error.message).toContain("no answer within 30 s");
    }
  });

  test("strictly: unknown type, unknown key, ill-formed name", async () => {
    const { register } = await setUp();
    expect((await refusalOf(register({ type: "oracle" }))).message).toContain("fake, other");
    const config = { address: "a", password: "b", port: 1 };
    expect((await refusalOf(register({ config }))).where).toBe("config.port");
    expect((await refusalOf(register({ id: "Orders!" }))).where).toBe("backend");
    expect((await refusalOf(register({ type: "other" }))).code).toBe("conflict");
  });

  test("that now is another upstream is refused while its leases live", async () => {
    const { world, core, register } = await setUp();
    const { task } = await createFakeAgent(world, core).open();
    Object.defineProperty(world.upstream, "identity", { value: "another-system" });
    expect((await refusalOf(register())).code).toBe("conflict");
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 5,
    } as const;
    await core.endTask(end, world.context());
    expect((await register()).put).toBe("updated");
  });

  test("again is the way out when the stored configuration can no longer be unsealed", async () => {
    const { world } = await setUp();
    const core = createCore({ ...world.ports, sealer: createFakeSealer(["another"]) });
    const broken = await refusalOf(core.testBackend(ORDERS, ADMIN, world.context()));
    expect(broken).toMatchObject({ code: "config_invalid" });
    expect(broken.message).toContain("sealing keys");
    const config = { address: "orders.test", password: WORLD_PASSWORDS[0] };
    const registration = { id: "orders-db", type: "fake", config };
    const { put } = await core.registerBackend(registration, ADMIN, world.context());
    expect(put).toBe("updated");
    expect((await core.testBackend(ORDERS, ADMIN, world.context())).problems).toEqual([]);
  });

  test("under a name that was deleted goes on counting its revisions", async () => {
    const { world, core, register } = await setUp();
    const config = { address: "x", password: "y" };
    await register({ id: "spare", config });
    await core.deleteBackend(parseBackendId("spare", "id"), ADMIN);
    expect(await register({ id: "spare", config })).toMatchObject({
      put: "created",
      backend: { revision: 2 },
    });
    await world.clock.settle();
  });
});

describe("registering a role", () => {
  test("takes the common members, and gives its type the rest", async () => {
    const { role } = await setUp();
    expect(await role({ ttl_max: "10m", description: "Look only" })).toMatchObject({
      put: "created",
      role: {
        name: "orders-db/auditor",
        backendId: "orders-db",
        ttlSecondsMax: 600,
        dataClass: "restricted",
        settings: { groups: ["read"], connections: 4 },
      },
    });
    expect((await role({ ttl_max: "10m", description: "Look only" })).put).toBe("unchanged");
  });

  test("without ttl_max lives an hour", async () => {
    const { role } = await setUp();
    expect((await role()).role.ttlSecondsMax).toBe(3600);
  });

  test.each<[string, object, string, string]>([
    ["an unknown backend", { role: "nowhere/reader" }, "not_found", "role.role"],
    ["an unknown member", { colour: "red" }, "invalid_input", "role.colour"],
    ["a ceiling beyond the type's", { ttl_max: "2d" }, "invalid_input", "role.ttl_max"],
    ["an unknown data class", { data_class: "secret" }, "invalid_input", "role.data_class"],
    ["an ill-formed environment", { environment: "PROD" }, "invalid_input", "role.environment"],
    ["settings that the type refuses", { groups: [] }, "invalid_input", "role.groups"],
  ])("with %s is refused", async (_what, changes, code, where) => {
    const { role } = await setUp();
    expect(await refusalOf(role(changes))).toMatchObject({ code, where });
  });

  test("is refused when the backend's self-check finds a problem with it", async () => {
    const { world, role } = await setUp();
    world.upstream.fail("selfCheck", "pretend");
    expect((await refusalOf(role())).code).toBe("check_failed");
  });

  test("ends neither leases nor a self-check when it is deleted", async () => {
    const { world, core, role } = await setUp();
    const { role: made } = await role();
    const agent = createFakeAgent(world, core);
    const credentials = [{ role: made.name }];
    const { task } = await agent.open({ credentials });
    await core.deleteRole(made.name, ADMIN);
    expect((await refusalOf(agent.open({ credentials }))).code).toBe("denied");
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 5,
    } as const;
    expect((await core.endTask(end, world.context())).leases).toMatchObject([{ state: "ended" }]);
  });
});

describe("policies and trust", () => {
  test("that do not compile change nothing, and every problem has its place", async () => {
    const { world, core } = await setUp();
    const before = await world.ledger.catalog.version();
    const sources = [{ name: "broken.cedar", text: "permit (" }];
    const refused = await refusalOf(core.activatePolicies(sources, ADMIN));
    expect(refused).toMatchObject({
      code: "config_invalid",
      where: "broken.cedar",
      public: { problems: [{ source: "broken.cedar", line: 1 }] },
    });
    expect(refused.message).toMatch(/^broken\.cedar:1: /);
    expect(await world.ledger.catalog.version()).toBe(before);
  });

  test("a trust root is parsed strictly, and disabling it stops its workloads", async () => {
    const { world, core } = await setUp();
    const agent = createFakeAgent(world, core);
    const root = { trust: "acme.test", kind: "spiffe", config: { issuer: "spiffe://acme.test" } };
    expect((await refusalOf(core.putTrustRoot({ ...root, x: 1 }, ADMIN))).where).toBe("trust.x");
    await agent.open();
    await core.putTrustRoot({ ...root, enabled: false }, ADMIN);
    expect((await refusalOf(agent.open())).code).toBe("invalid_identity");
  });

  test("a second enabled root of one issuer is a conflict that names the first", async () => {
    const { world, core } = await setUp();
    const agent = createFakeAgent(world, core);
    const first = { trust: "acme.test", kind: "spiffe", config: { issuer: "spiffe://acme.test" } };
    const second = { ...first, trust: "second" };
    await core.putTrustRoot(first, ADMIN);
    expect(await refusalOf(core.putTrustRoot(second, ADMIN))).toMatchObject({
      code: "conflict",
      where: "trust.config",
      public: { rival: "acme.test" },
    });
    await agent.open();
    await core.putTrustRoot({ ...second, enabled: false }, ADMIN);
    await core.putTrustRoot({ ...first, enabled: false }, ADMIN);
    await core.putTrustRoot({ ...second, enabled: true }, ADMIN);
    await agent.open();
  });
});

test("JSON is the same whatever the order of its members", () => {
  expect(isSameJson({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 })).toBe(true);
  expect(isSameJson({ a: 1 }, { a: 1, b: null })).toBe(false);
  expect(isSameJson([1, 2], [2, 1])).toBe(false);
  expect(isSameJson([], {})).toBe(false);
  expect(isSameJson(null, {})).toBe(false);
});
