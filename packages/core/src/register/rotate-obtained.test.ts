import { expect, test } from "vitest";
import {
  BackendError,
  Secret,
  parseBackendId,
  type PoolingHost,
  type CredentialBackend,
  type JsonObject,
} from "@mayfly/spec";
import { createFakeWorld, furnish, refusalOf, WORLD_PASSWORDS } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const ORDERS = parseBackendId("orders-db", "id");
const OLD = WORLD_PASSWORDS[0];

/** What an upstream that makes secrets itself knows, and what happens to it on the way. */
interface Upstream {
  readonly accepted: Set<string>;
  made: number;
  /** The process dies as the answer comes. */
  losesAnswer: boolean;
  /** It makes none, and says so. */
  refuses: boolean;
  /** What waits at a moment, once, for a test to let it go on. */
  readonly held: Map<Moment, Promise<void>>;
}
type Moment = "found lost ones" | "made one";

const NOTHING_DONE = { effect: "none", retry: { kind: "never" } } as const;

async function atMoment({ held }: Upstream, moment: Moment): Promise<void> {
  const wait = held.get(moment);
  held.delete(moment);
  await wait;
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The fake with a member `previous_password`, and secrets that the upstream makes. */
function obtaining(type: CredentialBackend, upstream: Upstream): CredentialBackend {
  const own = (config: JsonObject): JsonObject => {
    const { previous_password: _, ...rest } = config;
    return rest;
  };
  return {
    ...type,
    parseConfig: (input) => {
      const given = Object(input) as JsonObject;
      const previous = given["previous_password"];
      const parsed = type.parseConfig(own(given));
      return previous === undefined ? parsed : { ...parsed, previous_password: previous };
    },
    describeConfig: (config) => type.describeConfig(own(config)),
    rotation: {
      madeBy: "upstream",
      obstacle: ({ address }) => (address === "keyless.test" ? "it has none" : null),
      sharesLogin: (own, other) => own.config["password"] === other.config["password"],
      isUnderWay: (config) => "previous_password" in config,
      begin: (config) => ({ previous_password: config["password"] ?? null, ...config }),
      take: (config, obtained) => ({ ...config, password: obtained.expose("upstream") }),
      finish: own,
    },
    open: (config: JsonObject, host: PoolingHost) => {
      const [password, previous] = [config["password"], config["previous_password"]].map(textOf);
      return {
        ...type.open(own(config), host),
        obtainSecret: async () => {
          if (password !== previous && upstream.accepted.has(password ?? "")) return null;
          if (upstream.refuses) throw new BackendError("no right to", NOTHING_DONE);
          const lost = [...upstream.accepted].filter((each) => each !== previous);
          if (lost.length > 0) await atMoment(upstream, "found lost ones");
          for (const each of lost) upstream.accepted.delete(each);
          const next = `made-by-upstream-${(upstream.made += 1)}`;
          upstream.accepted.add(next);
          await atMoment(upstream, "made one");
          if (upstream.losesAnswer) throw new Error("died");
          return Secret.of(next);
        },
        adoptSecret: async () => {
          if (password === previous) throw new Error("there is no new one");
          upstream.accepted.delete(previous ?? "");
        },
      };
    },
  };
}

async function setUp() {
  const world = createFakeWorld();
  const upstream: Upstream = {
    accepted: new Set([OLD]),
    made: 0,
    losesAnswer: false,
    refuses: false,
    held: new Map(),
  };
  const backendTypes = new Map(
    [...world.ports.backendTypes].map(([name, type]) => [name, obtaining(type, upstream)]),
  );
  const core = createCore({ ...world.ports, backendTypes });
  await furnish(world, core);
  const put = (config: object) =>
    core.registerBackend({ id: ORDERS, type: "fake", config }, ADMIN, world.context());
  const rotate = () => core.rotateBackend(ORDERS, ADMIN, world.context());
  return { core, world, upstream, put, rotate };
}

test("what an upstream makes is kept beside the old one before the old one ends", async () => {
  const { world, upstream, rotate } = await setUp();
  // Begun, obtained, alone.
  expect(await rotate()).toMatchObject({ put: "updated", backend: { revision: 4 } });
  expect([...upstream.accepted]).toEqual(["made-by-upstream-1"]);
  expect(JSON.stringify(world.ledger.inspect.events())).not.toContain("made-by-upstream");
});

test("before anything is asked of it, it is durable that a secret is to be replaced", async () => {
  const { upstream, put, rotate } = await setUp();
  upstream.losesAnswer = true;
  await expect(rotate()).rejects.toThrow("died");
  const refused = await refusalOf(put({ address: "orders.test", password: OLD }));
  expect(refused).toMatchObject({ code: "conflict", where: "backend.config" });
  expect(upstream.accepted).toContain(OLD);
  upstream.losesAnswer = false;
  await rotate();
  expect(upstream.accepted).toContain("made-by-upstream-2");
  expect(upstream.accepted).not.toContain(OLD);
});

test("a configuration without a secret of its own is refused, with what to do instead", async () => {
  const { upstream, put, rotate } = await setUp();
  await put({ address: "keyless.test", password: OLD });
  const refused = await refusalOf(rotate());
  expect(refused).toMatchObject({ code: "invalid_input", where: "backend" });
  expect(refused.message).toContain("it has none");
  expect(upstream.made).toBe(0);
});

test("who goes on with a rotation bars the call before it, whose secret it takes for nobody's", async () => {
  const { upstream, put, rotate } = await setUp();
  const [slow, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  upstream.held.set("made one", slow.promise);
  const first = rotate();
  await expect.poll(() => upstream.held.size).toBe(0);
  upstream.held.set("found lost ones", second.promise);
  const next = rotate();
  await expect.poll(() => upstream.held.size).toBe(0);
  slow.resolve();
  expect(await refusalOf(first)).toMatchObject({ code: "precondition_failed" });
  expect(upstream.accepted).toContain(OLD);
  second.resolve();
  await next;
  expect([...upstream.accepted]).toEqual(["made-by-upstream-2"]);
  const known = { address: "orders.test", password: "made-by-upstream-2" };
  expect(await put(known)).toMatchObject({ put: "unchanged" });
});

test("where certainly nothing was made, the backend is as it was and may be changed", async () => {
  const { upstream, put, rotate } = await setUp();
  upstream.refuses = true;
  await expect(rotate()).rejects.toThrow("no right to");
  expect(await put({ address: "orders.test", password: OLD })).toMatchObject({ put: "unchanged" });
  upstream.refuses = false;
  upstream.losesAnswer = true;
  await expect(rotate()).rejects.toThrow("died");
  // One that was made before may be somewhere: that is not forgotten.
  upstream.refuses = true;
  await expect(rotate()).rejects.toThrow("no right to");
  const refused = await refusalOf(put({ address: "orders.test", password: OLD }));
  expect(refused).toMatchObject({ code: "conflict", where: "backend.config" });
});

test("a secret by which another backend logs in too is not replaced, as that would lock it out", async () => {
  const { core, world, upstream, put, rotate } = await setUp();
  const config = { address: "billing.test", password: OLD };
  await core.registerBackend({ id: "billing-db", type: "fake", config }, ADMIN, world.context());
  const refused = await refusalOf(rotate());
  expect(refused).toMatchObject({ code: "invalid_input", where: "backend" });
  expect(refused.message).toContain("billing-db");
  expect([...upstream.accepted]).toEqual([OLD]);
  // Nothing was begun.
  expect(await put({ address: "orders.test", password: OLD })).toMatchObject({ put: "unchanged" });
  const own = { ...config, password: "its-own" };
  await core.registerBackend(
    { id: "billing-db", type: "fake", config: own },
    ADMIN,
    world.context(),
  );
  await rotate();
  expect([...upstream.accepted]).toEqual(["made-by-upstream-1"]);
});
