import { expect, test } from "vitest";
import {
  parseBackendId,
  type PoolingHost,
  type CredentialBackend,
  type JsonObject,
} from "@mayfly/spec";
import {
  createFakeSealer,
  createFakeWorld,
  furnish,
  refusalOf,
  WORLD_PASSWORDS,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const ORDERS = parseBackendId("orders-db", "id");

/** The fake, whose upstream accepts one password of the broker, and which can be given another. */
function rotating(type: CredentialBackend, upstream: { password: string; isDown: boolean }) {
  const split = (config: object): { own: JsonObject; previous: JsonObject } => {
    const { previous_password: previous, ...own } = { previous_password: undefined, ...config };
    return { own, previous: previous === undefined ? {} : { previous_password: previous } };
  };
  const joined = (config: unknown, parse: (own: JsonObject) => JsonObject): JsonObject => {
    const { own, previous } = split(Object(config) as object);
    return { ...parse(own), ...previous };
  };
  let made = 0;
  return {
    ...type,
    parseConfig: (input: unknown) => joined(input, (own) => type.parseConfig(own)),
    describeConfig: (config: JsonObject) => type.describeConfig(split(config).own),
    rotation: {
      madeBy: "mayfly" as const,
      obstacle: () => null,
      sharesLogin: () => false,
      isUnderWay: (config: JsonObject) => "previous_password" in config,
      begin: (config: JsonObject) =>
        "previous_password" in config
          ? config
          : {
              ...config,
              password: `made-password-${(made += 1)}`,
              previous_password: config["password"] ?? null,
            },
      finish: (config: JsonObject) => split(config).own,
    },
    open: (config: JsonObject, host: PoolingHost) => {
      const open = type.open(split(config).own, host);
      const known = [config["password"], config["previous_password"]];
      return {
        ...open,
        selfCheck: async (...args: Parameters<typeof open.selfCheck>) => {
          const isKnown = known.includes(upstream.password) || host.backendId !== ORDERS;
          if (!isKnown) throw new Error("nobody is let in");
          return open.selfCheck(...args);
        },
        adoptSecret: async () => {
          if (!known.includes(upstream.password)) throw new Error("nobody is let in");
          if (upstream.isDown) throw new Error("the upstream is down");
          upstream.password = textOf(config["password"]);
        },
      };
    },
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

async function setUp() {
  const world = createFakeWorld();
  const upstream = { password: WORLD_PASSWORDS[0], isDown: false };
  const backendTypes = new Map(
    [...world.ports.backendTypes].map(([name, type]) => [name, rotating(type, upstream)]),
  );
  const core = createCore({ ...world.ports, backendTypes });
  await furnish(world, core);
  return {
    world,
    backendTypes,
    upstream,
    core,
    rotate: () => core.rotateBackend(ORDERS, ADMIN, world.context()),
  };
}

test("the new secret is registered beside the old one before the upstream has it, then alone", async () => {
  const { world, upstream, rotate } = await setUp();
  expect(await rotate()).toMatchObject({ put: "updated", backend: { revision: 3 } });
  expect(upstream.password).toBe("made-password-1");
  world.log.assertNoSecret("made-password-1", ...WORLD_PASSWORDS);
  expect(JSON.stringify(world.ledger.inspect.events())).not.toContain("made-password-1");
});

test("what broke off before or after the upstream had it is taken up by the next call", async () => {
  const { upstream, core, world, rotate } = await setUp();
  upstream.isDown = true;
  await expect(rotate()).rejects.toThrow("down");
  // Nobody is locked out, and whoever looks is told that both secrets are there.
  const problems = async () => (await core.testBackend(ORDERS, ADMIN, world.context())).problems;
  expect(await problems()).toEqual([expect.objectContaining({ code: "rotation_under_way" })]);
  upstream.isDown = false;
  expect(await rotate()).toMatchObject({ backend: { revision: 3 } });
  expect(await problems()).toEqual([]);
  expect(upstream.password).toBe("made-password-1");
});

test("while it is under way a change that knows only one of the secrets is refused, and both may be", async () => {
  const { upstream, core, world, rotate } = await setUp();
  upstream.isDown = true;
  await expect(rotate()).rejects.toThrow("down");
  const put = (config: object) =>
    core.registerBackend({ id: ORDERS, type: "fake", config }, ADMIN, world.context());
  const old = { address: "orders.test", password: WORLD_PASSWORDS[0] };
  const refused = await refusalOf(put(old));
  expect(refused).toMatchObject({ code: "conflict", where: "backend.config" });
  expect(refused.message).toContain("mayfly backend rotate");
  const backend = { id: ORDERS, type: "fake", config: old };
  const plan = await core.planBackend({ backend, roles: [] }, ADMIN, world.context());
  expect(plan.backend).toMatchObject({ refused: { code: "conflict", where: "backend.config" } });
  expect(await put({ ...old, previous_password: WORLD_PASSWORDS[0] })).toMatchObject({
    put: "updated",
  });
  upstream.isDown = false;
  await rotate();
  expect(upstream.password).toBe(WORLD_PASSWORDS[0]);
  expect(await put(old)).toMatchObject({ put: "unchanged" });
});

test("one whose stored configuration cannot be opened any more is registered again all the same", async () => {
  const { world, backendTypes, upstream } = await setUp();
  const sealer = createFakeSealer(["another"]);
  const core = createCore({ ...world.ports, backendTypes, sealer });
  const config = { address: "orders.test", password: upstream.password };
  const given = { id: ORDERS, type: "fake", config };
  const { backend } = await core.planBackend({ backend: given, roles: [] }, ADMIN, world.context());
  expect(backend).toMatchObject({ put: "updated" });
  expect(await core.registerBackend(given, ADMIN, world.context())).toMatchObject({
    put: "updated",
  });
});

interface Variation {
  readonly keysElsewhere?: () => boolean;
  readonly certifies?: true;
  readonly signsTokens?: true;
  readonly configSchema?: JsonObject;
  readonly capabilities?: { readonly standingSecret: true };
}
const varied = (type: CredentialBackend, { capabilities, ...more }: Variation) => ({
  ...type,
  ...more,
  capabilities: { ...type.capabilities, ...capabilities },
});

test.each<readonly [string, Variation, string]>([
  ["of no rotation", {}, "register the backend with the new one"],
  ["that certifies", { certifies: true }, "mayfly signing-key rotate --backend orders-db"],
  [
    "that certifies, and has a key to log in with",
    { certifies: true, configSchema: { properties: { key: { writeOnly: true } } } },
    "take the old one away there; its keys are",
  ],
  [
    "that certifies, and logs in nowhere",
    { certifies: true, configSchema: { properties: { path: {} } } },
    "which has no secret to log in with",
  ],
  ["whose keys are elsewhere", { certifies: true, keysElsewhere: () => true }, "is with you"],
  [
    "of standing secrets",
    { capabilities: { standingSecret: true } },
    "replace it where it is made",
  ],
  ["that signs tokens", { signsTokens: true }, "mayfly signing-key rotate --backend orders-db"],
])("a type %s says what to do instead, and changes nothing", async (_, more, words) => {
  const world = createFakeWorld();
  const backendTypes = new Map(
    [...world.ports.backendTypes].map(([name, type]) => [name, varied(type, more)]),
  );
  const core = createCore({ ...world.ports, backendTypes });
  await furnish(world, core);
  const refused = await refusalOf(core.rotateBackend(ORDERS, ADMIN, world.context()));
  expect(refused).toMatchObject({ code: "invalid_input", where: "backend" });
  expect(refused.message).toContain(words);
  const [known] = (await core.catalogView()).backends;
  expect(known?.revision).toBe(1);
});
