import { describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type BundleSequences,
  type TrustRoots,
} from "@mayfly/spec";
import {
  asBundleKey,
  createFakeClock,
  createFakeOutboundHttp,
  createMemoryLedger,
  createRecordingLog,
  createTestTrustDomain,
  type TestTrustDomain,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");
const URL = "https://spire.acme.test/bundle";
const OLDER = "a trust domain served an older bundle than before; it is ignored";

/** A trust domain, a ledger, and as many brokers over it as are started. */
function setUp() {
  const clock = createFakeClock();
  const http = createFakeOutboundHttp();
  const log = createRecordingLog();
  const ledger = createMemoryLedger(clock);
  const domain = createTestTrustDomain({ clock, audience: BROKER });
  http.serve(URL, async () => ({ body: domain.bundle() }));
  const rootOf = (roots: TrustRoots, url = URL) =>
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: { url, profile: "https_web" },
    });
  const start = (sequences: BundleSequences = ledger.bundleSequences): TrustRoots => {
    const settings = defaultTrustRootsSettings;
    const roots = createTrustRoots({ http, issuer: BROKER, settings, log, sequences });
    roots.replace([rootOf(roots)]);
    return roots;
  };
  const context = () => ({ clock, signal: new AbortController().signal, traceId: "t" });
  const outcome = async (roots: TrustRoots, token: string): Promise<string> => {
    try {
      await roots.verify({ kind: "jwt", token: Secret.of(token) }, context());
      return "vouched";
    } catch (error) {
      if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
      return error.cause.reason;
    }
  };
  return { clock, http, log, ledger, domain, start, outcome, rootOf, context };
}

/** The bundle as it is served now, but for what it writes as its sequence; null: nothing. */
const writing = (domain: TestTrustDomain, sequence: string | null): { readonly text: string } => {
  const { keys } = domain.bundle();
  const bundle = JSON.stringify({ keys, spiffe_refresh_hint: 60 });
  const written = sequence === null ? "" : `"spiffe_sequence": ${sequence}, `;
  return { text: `{${written}${bundle.slice(1)}` };
};

/** The domain took a key out that leaked; whoever has it replays the bundle of before. */
async function withLeakedKey() {
  const it = setUp();
  const leaked = it.domain.key;
  it.domain.rotate();
  it.domain.publish([asBundleKey(it.domain.key)], 7);
  expect(await it.outcome(it.start(), it.domain.token())).toBe("vouched");
  it.domain.publish([asBundleKey(leaked)], 6);
  return { ...it, leaked };
}

describe("a bundle whose sequence goes back", () => {
  test("is ignored after a restart, and by another broker, as by the one that saw the newer one", async () => {
    const it = await withLeakedKey();
    const restarted = it.start();
    expect(await it.outcome(restarted, it.domain.token({ key: it.leaked }))).toBe(
      "keys_unavailable",
    );
    expect(it.log.messages("error")).toEqual([OLDER]);
    it.domain.publish([asBundleKey(it.domain.key)], 8);
    await it.clock.advance(1_000);
    expect(await it.outcome(restarted, it.domain.token())).toBe("vouched");
    it.domain.publish([asBundleKey(it.leaked)], 7);
    expect(await it.outcome(it.start(), it.domain.token({ key: it.leaked }))).toBe(
      "keys_unavailable",
    );
  });

  test("by one above 2^53 is ignored, where a double takes both for the same", async () => {
    const it = setUp();
    const leaked = it.domain.key;
    it.domain.rotate();
    it.domain.publish([asBundleKey(it.domain.key)]);
    it.http.serve(URL, writing(it.domain, "9007199254740993"));
    const roots = it.start();
    expect(await it.outcome(roots, it.domain.token())).toBe("vouched");
    const current = it.domain.token();
    it.domain.publish([asBundleKey(leaked)]);
    it.http.serve(URL, writing(it.domain, "9007199254740992"));
    for (const each of [it.start(), roots]) {
      await it.clock.advance(60_000);
      expect(await it.outcome(each, it.domain.token({ key: leaked }))).not.toBe("vouched");
    }
    expect(await it.outcome(roots, current)).toBe("vouched");
    expect(it.log.messages("error")).toEqual([OLDER, OLDER]);
  });

  test("is not passed off as one that never had a sequence", async () => {
    const it = await withLeakedKey();
    const roots = it.start();
    it.http.serve(URL, async () => writing(it.domain, null));
    expect(await it.outcome(roots, it.domain.token({ key: it.leaked }))).toBe("keys_unavailable");
    expect(it.log.messages("error")).toEqual([OLDER]);
    const look = await roots.look(it.rootOf(roots), it.context());
    expect(look.problem).toContain("its spiffe_sequence is missing, where there was one before");
  });

  test.each(["-1", '"6"', "6.5", "18446744073709551616"])(
    "is not passed off as one whose sequence is %s",
    async (sequence) => {
      const it = await withLeakedKey();
      const roots = it.start();
      it.http.serve(URL, async () => writing(it.domain, sequence));
      expect(await it.outcome(roots, it.domain.token({ key: it.leaked }))).toBe("keys_unavailable");
      const look = await roots.look(it.rootOf(roots), it.context());
      expect(look.problem).toContain("spiffe_sequence is not a whole number");
    },
  );

  test("would be taken by a process that knows only what itself has seen", async () => {
    const it = await withLeakedKey();
    const { bundleSequences } = setUp().ledger;
    const token = it.domain.token({ key: it.leaked });
    expect(await it.outcome(it.start(bundleSequences), token)).toBe("vouched");
  });

  test("is taken from another address, and once its trust root was deleted", async () => {
    const it = await withLeakedKey();
    const token = it.domain.token({ key: it.leaked });
    const moved = it.start();
    const other = "https://new.acme.test/bundle";
    it.http.serve(other, async () => ({ body: it.domain.bundle() }));
    moved.replace([it.rootOf(moved, other)]);
    expect(await it.outcome(moved, token)).toBe("vouched");
    const again = it.start();
    expect(await it.outcome(again, token)).toBe("keys_unavailable");
    const by = { kind: "administrator", name: "a" } as const;
    await it.ledger.catalog.putTrustRoot(it.rootOf(again), by);
    await it.ledger.catalog.deleteTrustRoot(NAME, by);
    expect(await it.outcome(it.start(), token)).toBe("vouched");
  });

  test("is told of by a look at the trust root, which notes nothing itself", async () => {
    const it = await withLeakedKey();
    const roots = it.start();
    const look = await roots.look(it.rootOf(roots), it.context());
    expect(look.problem).toContain("its spiffe_sequence went back");
    it.domain.publish([asBundleKey(it.domain.key)], 9);
    expect((await roots.look(it.rootOf(roots), it.context())).problem).toBeNull();
    it.domain.publish([asBundleKey(it.domain.key)], 8);
    expect(await it.outcome(roots, it.domain.token())).toBe("vouched");
  });
});

test("a bundle that never had a sequence is taken, each newer one too", async () => {
  const it = setUp();
  it.http.serve(URL, async () => writing(it.domain, null));
  const roots = it.start();
  expect(await it.outcome(roots, it.domain.token())).toBe("vouched");
  it.domain.rotate();
  expect(await it.outcome(roots, it.domain.token())).toBe("vouched");
  expect(it.log.messages("error")).toEqual([]);
});

test("a bundle counts only once its sequence is on record", async () => {
  const it = setUp();
  it.domain.publish([asBundleKey(it.domain.key)], 7);
  let isAway = true;
  const known = it.ledger.bundleSequences;
  const roots = it.start({
    newest: (source) => known.newest(source),
    note: async (...seen) => {
      if (isAway) throw new BrokerError("ledger_unavailable", "away");
      return known.note(...seen);
    },
  });
  expect(await it.outcome(roots, it.domain.token())).toBe("keys_unavailable");
  isAway = false;
  await it.clock.advance(1_000);
  expect(await it.outcome(roots, it.domain.token())).toBe("vouched");
});
