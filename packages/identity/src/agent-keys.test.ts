import { expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  type AgentBundles,
  type CallContext,
  type Followed,
  type PresentedIdentity,
  type WorkloadApi,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestTrustDomain,
  createTestX509Authority,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");
const OTHER = parseTrustRootName("other.test", "name");

/** Two trust domains, of which an agent tells. */
function setUp({ agent = true } = {}) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const told: { state: Followed<AgentBundles> | null } = { state: null };
  const api: WorkloadApi = {
    bundles: () => told.state,
    firstBundles: async () => {
      if (told.state === null) throw new BrokerError("backend_unavailable", "nothing told");
      return told.state;
    },
    followSvid: () => undefined,
    close: async () => undefined,
  };
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: BROKER,
    settings: defaultTrustRootsSettings,
    log,
    ...(agent ? { workloadApi: api } : {}),
  });
  roots.replace([
    roots.parse(NAME, "spiffe", { trust_domain: "acme.test", workload_api: true }),
    roots.parse(OTHER, "spiffe", { trust_domain: "other.test", workload_api: true }),
  ]);
  const acme = createTestX509Authority({ clock });
  const other = createTestX509Authority({ clock, trustDomain: "other.test" });
  const jwts = createTestTrustDomain({ clock, audience: BROKER });
  const context = (): CallContext => ({
    clock,
    signal: new AbortController().signal,
    traceId: "trace",
  });
  const tell = (
    x509: Record<string, Uint8Array>,
    jwt: Record<string, string> = {},
    lostAtMs: number | null = null,
  ): void => {
    const texts = Object.entries(jwt).map(([name, json]) => [name, Buffer.from(json)] as const);
    const newest = { x509: new Map(Object.entries(x509)), jwt: new Map(texts) };
    told.state = { newest, lostAtMs };
  };
  const lose = (): void => {
    if (told.state !== null) told.state = { ...told.state, lostAtMs: clock.monotonicMs() };
  };
  const outcome = async (presented: PresentedIdentity): Promise<string> => {
    try {
      await roots.verify(presented, context());
      return "vouched";
    } catch (error) {
      if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
      return error.cause.reason;
    }
  };
  return { clock, log, roots, acme, other, jwts, context, tell, lose, outcome };
}

/** As SPIRE's agent tells it: a plain JWK set, without a use. */
function plainJwks({ jwts }: ReturnType<typeof setUp>): string {
  const { use: _use, alg: _alg, ...jwk } = jwts.key.publicJwk;
  return JSON.stringify({ keys: [jwk] });
}

test("SVIDs of both kinds are verified with what the agent tells, each domain with its own", async () => {
  const it = setUp();
  it.tell({ "acme.test": it.acme.der, "other.test": it.other.der }, { "acme.test": plainJwks(it) });
  expect(await it.outcome(it.acme.issue().presented)).toBe("vouched");
  expect(await it.outcome(it.other.issue().presented)).toBe("vouched");
  expect(await it.outcome(it.jwts.present())).toBe("vouched");
  const names = [{ uniformResourceIdentifier: "spiffe://acme.test/workload" }];
  expect(await it.outcome(it.other.issue({ names }).presented)).toBe("path");
});

test("each message replaces all before: what it leaves out is trusted no more", async () => {
  const it = setUp();
  const next = createTestX509Authority({ clock: it.clock });
  it.tell({ "acme.test": Buffer.concat([it.acme.der, next.der]) }, { "acme.test": plainJwks(it) });
  const text = it.jwts.present();
  expect(await it.outcome(it.acme.issue().presented)).toBe("vouched");
  expect(await it.outcome(next.issue().presented)).toBe("vouched");
  expect(await it.outcome(text)).toBe("vouched");
  it.tell({ "acme.test": next.der }, {});
  expect(await it.outcome(it.acme.issue().presented)).toBe("path");
  expect(await it.outcome(next.issue().presented)).toBe("vouched");
  expect(await it.outcome(text)).toBe("unknown_key");
  it.tell({}, {});
  expect(await it.outcome(next.issue().presented)).toBe("path");
});

test("while the agent is away, what it told last counts for as long as keys may be stale", async () => {
  const it = setUp();
  it.tell({ "acme.test": it.acme.der });
  expect(await it.outcome(it.acme.issue().presented)).toBe("vouched");
  it.lose();
  await it.clock.advance(3_599_999);
  expect(await it.outcome(it.acme.issue().presented)).toBe("vouched");
  await it.clock.advance(1);
  expect(await it.outcome(it.acme.issue().presented)).toBe("keys_unavailable");
});

test("without an agent, or before it has told anything, nothing is trusted", async () => {
  const silent = setUp();
  expect(await silent.outcome(silent.acme.issue().presented)).toBe("keys_unavailable");
  const without = setUp({ agent: false });
  expect(await without.outcome(without.acme.issue().presented)).toBe("keys_unavailable");
});

test("one half that cannot be read leaves the other, and is said", async () => {
  const it = setUp();
  it.tell({ "acme.test": Buffer.from("no certificate") }, { "acme.test": plainJwks(it) });
  expect(await it.outcome(it.jwts.present())).toBe("vouched");
  expect(await it.outcome(it.acme.issue().presented)).toBe("path");
  expect(it.log.messages("error")).toEqual(["a bundle of the SPIFFE agent cannot be read"]);
});

test("a look at such a root shows where its keys are from, and what is wrong", async () => {
  const it = setUp();
  const root = it.roots.parse(NAME, "spiffe", { trust_domain: "acme.test", workload_api: true });
  expect((await it.roots.look(root, it.context())).problem).toContain("tells nothing");
  it.tell({}, { "acme.test": plainJwks(it) });
  const seen = await it.roots.look(root, it.context());
  expect([seen.source, seen.problem, seen.keys.length]).toEqual(["workload API", null, 1]);
});
