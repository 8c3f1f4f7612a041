import { describe, expect, test } from "vitest";
import { parseTrustRootName } from "@mayfly/spec";
import { createTestSigningKey, type FakeAnswer } from "@mayfly/testkit";
import { DISCOVERY, ISSUER, JWKS, NAME, issuerOfKeys, outcome } from "./testing/issuer-of-keys.ts";

const MINUTE = 60_000;

describe("discovery", () => {
  test("leads from the issuer to its keys", async () => {
    const it = issuerOfKeys();
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.http.requests).toEqual([DISCOVERY, JWKS]);
  });

  test("is left out where the configuration names the keys' place", async () => {
    const it = issuerOfKeys({ jwks_uri: JWKS });
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.http.requests).toEqual([JWKS]);
  });

  test.each([
    `${ISSUER}/`,
    "https://idp.test",
    "https://evil.test",
    "https://login.test/{tenantid}/v2.0",
    null,
    undefined,
  ])("of issuer %j is not ours, and its keys are not fetched", async (issuer) => {
    const it = issuerOfKeys();
    it.http.serve(DISCOVERY, { body: { issuer, jwks_uri: JWKS } });
    expect(await outcome(it, it.token())).toBe("keys_unavailable");
    expect(it.fetches()).toBe(0);
  });

  test.each(["http://keys.idp.test/jwks", "file:///jwks", "/jwks", 7, undefined])(
    "that names the keys' place as %j is refused",
    async (jwks_uri) => {
      const it = issuerOfKeys();
      it.http.serve(DISCOVERY, { body: { issuer: ISSUER, jwks_uri } });
      expect(await outcome(it, it.token())).toBe("keys_unavailable");
      expect(it.http.requests).toEqual([DISCOVERY]);
    },
  );

  test("asks within 5 s, 512 KiB and without private addresses", async () => {
    const it = issuerOfKeys({ jwks_uri: JWKS });
    let asked: unknown;
    it.http.serve(JWKS, async (options) => {
      asked = options;
      return { body: { keys: [] } };
    });
    await outcome(it, it.token());
    expect(asked).toEqual({ timeoutMs: 5000, maxBytes: 524_288, unsafeAllowPrivate: false });
  });
});

describe("key cache", () => {
  test.each([
    ["10 minutes where nothing is said", null, 10],
    ["what max-age says", 1800, 30],
    ["1 minute at least", 0, 1],
    ["24 hours at most", 10_000_000, 24 * 60],
  ])("holds keys for %s", async (_name, maxAgeSeconds, minutes) => {
    const it = issuerOfKeys();
    it.publish([it.key], maxAgeSeconds);
    await outcome(it, it.token());
    await it.clock.advance(minutes * MINUTE - 1);
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.fetches()).toBe(1);
    await it.clock.advance(1);
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.fetches()).toBe(2);
  });

  test("a jump of the wall clock does not make keys fresh or stale", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    it.clock.jumpWallClock(-30 * 24 * 60 * MINUTE);
    await it.clock.advance(10 * MINUTE);
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.fetches()).toBe(2);
  });

  test("many at once share one fetch", async () => {
    const it = issuerOfKeys();
    const served = Promise.withResolvers<void>();
    const { publicJwk } = it.key;
    it.http.serve(JWKS, async () => {
      await served.promise;
      return { body: { keys: [publicJwk] } };
    });
    const all = Array.from({ length: 50 }, () => outcome(it, it.token()));
    await it.clock.settle();
    served.resolve();
    expect(new Set(await Promise.all(all))).toEqual(new Set(["vouched"]));
    expect(it.http.requests).toEqual([DISCOVERY, JWKS]);
  });

  test("one caller's cancellation does not end the fetch that others wait for", async () => {
    const it = issuerOfKeys();
    const served = Promise.withResolvers<void>();
    const { publicJwk } = it.key;
    it.http.serve(JWKS, async (_options, { signal }) => {
      await served.promise;
      signal.throwIfAborted();
      return { body: { keys: [publicJwk] } };
    });
    const stop = new AbortController();
    const first = outcome(it, it.token(), stop.signal);
    const second = outcome(it, it.token());
    await it.clock.settle();
    stop.abort();
    expect(await first).toBe("aborted");
    served.resolve();
    expect(await second).toBe("vouched");
    expect(it.fetches()).toBe(1);
  });

  test("a rotated key is accepted at once, by one more fetch", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    const two = createTestSigningKey("two");
    it.publish([it.key, two]);
    expect(await outcome(it, it.token(two))).toBe("vouched");
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.fetches()).toBe(2);
  });

  test("a removed key is refused once the keys were read again, cached token or not", async () => {
    const it = issuerOfKeys();
    const text = it.token();
    expect(await outcome(it, text)).toBe("vouched");
    const two = createTestSigningKey("two");
    it.publish([two]);
    expect(await outcome(it, it.token(two))).toBe("vouched");
    expect(await outcome(it, text)).toBe("unknown_key");
    expect(await outcome(it, it.token())).toBe("unknown_key");
  });

  test("an emptied key set trusts nothing", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    it.publish([]);
    await it.clock.advance(10 * MINUTE);
    expect(await outcome(it, it.token())).toBe("unknown_key");
  });

  test("a flood of unknown key ids makes one fetch in 30 s", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    const flood = async (): Promise<void> => {
      for (let n = 0; n < 40; n++) {
        const stranger = { ...it.key, kid: `stranger-${n}` };
        expect(await outcome(it, it.token(stranger))).toBe("unknown_key");
      }
    };
    await flood();
    expect(it.fetches()).toBe(2);
    await it.clock.advance(29_999);
    await flood();
    expect(it.fetches()).toBe(2);
    await it.clock.advance(1);
    await flood();
    expect(it.fetches()).toBe(3);
    expect(await outcome(it, it.token())).toBe("vouched");
  });

  test("an unknown key id on first sight makes one fetch, not two", async () => {
    const it = issuerOfKeys();
    expect(await outcome(it, it.token({ ...it.key, kid: "stranger" }))).toBe("unknown_key");
    expect(it.fetches()).toBe(1);
  });

  test("a bad signature under a known key id makes no fetch", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    const stranger = createTestSigningKey("one");
    expect(await outcome(it, it.token(stranger))).toBe("signature");
    expect(it.fetches()).toBe(1);
  });
});

describe("an issuer that fails", () => {
  const failures: readonly (readonly [string, FakeAnswer])[] = [
    ["does not answer", () => Promise.reject(new Error("connection refused"))],
    ["answers 500", { status: 500 }],
    ["answers 404", { status: 404, body: { keys: [] } }],
    ["answers something else", { body: "<html>" }],
    ["answers a list", { body: [] }],
  ];

  test.each(failures)(
    "and %s gets a back-off: five verifications, one fetch",
    async (_n, answer) => {
      const it = issuerOfKeys();
      it.http.serve(JWKS, answer);
      for (let n = 0; n < 5; n++) expect(await outcome(it, it.token())).toBe("keys_unavailable");
      expect(it.fetches()).toBe(1);
    },
  );

  test("is asked again after 1, 2, 4 … and never more than 60 seconds", async () => {
    const it = issuerOfKeys();
    it.http.serve(JWKS, { status: 500 });
    await outcome(it, it.token());
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const before = it.fetches();
      await it.clock.advance(seconds * 1000 - 1);
      await outcome(it, it.token());
      expect(it.fetches()).toBe(before);
      await it.clock.advance(1);
      await outcome(it, it.token());
      expect(it.fetches()).toBe(before + 1);
    }
    it.publish([it.key]);
    await it.clock.advance(60_000);
    expect(await outcome(it, it.token())).toBe("vouched");
  });

  test("that recovered and fails again is asked again after 1 second", async () => {
    const it = issuerOfKeys({ stale_keys_seconds_max: 0 });
    it.http.serve(JWKS, { status: 500 });
    await outcome(it, it.token());
    await it.clock.advance(1000);
    await outcome(it, it.token());
    it.publish([it.key], 60);
    await it.clock.advance(2000);
    expect(await outcome(it, it.token())).toBe("vouched");
    it.http.serve(JWKS, { status: 500 });
    await it.clock.advance(MINUTE);
    await outcome(it, it.token());
    const before = it.fetches();
    await it.clock.advance(1000);
    await outcome(it, it.token());
    expect(it.fetches()).toBe(before + 1);
  });

  test("leaves its old keys in use for the stale time and no longer", async () => {
    const it = issuerOfKeys({ stale_keys_seconds_max: 600 });
    await outcome(it, it.token());
    it.http.serve(JWKS, { status: 500 });
    await it.clock.advance(20 * MINUTE - 1);
    expect(await outcome(it, it.token())).toBe("vouched");
    await it.clock.advance(1);
    expect(await outcome(it, it.token())).toBe("keys_unavailable");
  });

  test("leaves nothing in use where the stale time is 0", async () => {
    const it = issuerOfKeys({ stale_keys_seconds_max: 0 });
    await outcome(it, it.token());
    it.http.serve(JWKS, { status: 500 });
    await it.clock.advance(10 * MINUTE);
    expect(await outcome(it, it.token())).toBe("keys_unavailable");
  });

  test("is not asked more often for unknown key ids than its back-off allows", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    it.http.serve(JWKS, { status: 500 });
    for (let n = 0; n < 10; n++) await outcome(it, it.token({ ...it.key, kid: `k${n}` }));
    expect(it.fetches()).toBe(2);
    expect(await outcome(it, it.token())).toBe("vouched");
  });

  test("that hangs holds up 32 at once: the others are judged by the keys that are there", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    const hung = Promise.withResolvers<{ readonly status: number }>();
    it.http.serve(JWKS, () => hung.promise);
    await it.clock.advance(10 * MINUTE);
    const text = it.token();
    let ended = 0;
    const waiting = Array.from({ length: 32 }, async () => {
      const came = await outcome(it, text);
      ended += 1;
      return came;
    });
    expect(await outcome(it, it.token())).toBe("vouched");
    const stranger = createTestSigningKey("made-up");
    expect(await outcome(it, it.token(stranger))).toBe("unknown_key");
    expect([ended, it.fetches()]).toEqual([0, 2]);
    hung.reject(new Error("given up"));
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["vouched"]));
  });

  test("that hangs before it gave any keys holds up nobody who comes a second later: they are refused", async () => {
    const it = issuerOfKeys();
    const hung = Promise.withResolvers<{ readonly status: number }>();
    it.http.serve(JWKS, () => hung.promise);
    const text = it.token();
    const waiting = Array.from({ length: 33 }, () => outcome(it, text));
    await it.clock.settle();
    await it.clock.advance(1_000);
    expect(await outcome(it, it.token())).toBe("keys_unavailable");
    expect(it.fetches()).toBe(1);
    hung.reject(new Error("given up"));
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["keys_unavailable"]));
  });

  test("is in the log with its cause", async () => {
    const it = issuerOfKeys();
    it.http.serve(JWKS, { status: 500 });
    await outcome(it, it.token());
    expect(it.log.messages("warn")).toEqual(["keys of a trust root could not be fetched"]);
    expect(it.log.entries[0]?.fields).toEqual({ trustRoot: NAME, failures: 1 });
  });
});

describe("a removed trust root", () => {
  test("vouches for nothing, not even for what was waiting for its keys", async () => {
    const it = issuerOfKeys();
    const served = Promise.withResolvers<void>();
    const { publicJwk } = it.key;
    it.http.serve(JWKS, async () => {
      await served.promise;
      return { body: { keys: [publicJwk] } };
    });
    const waiting = outcome(it, it.token());
    await it.clock.settle();
    it.roots.replace([]);
    served.resolve();
    expect(await waiting).toBe("withdrawn");
  });

  test("vouches for nothing that it was verifying with keys of its configuration", async () => {
    const it = issuerOfKeys();
    const jwks = { keys: [it.key.publicJwk] };
    it.roots.replace([it.roots.parse(NAME, "oidc", { issuer: ISSUER, jwks })]);
    const verifying = outcome(it, it.token());
    it.roots.replace([]);
    expect(await verifying).toBe("withdrawn");
  });

  test("keeps no keys: registered again, it fetches anew", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    it.roots.replace([]);
    it.roots.replace([it.root]);
    await outcome(it, it.token());
    expect(it.fetches()).toBe(2);
  });

  test("and one that stayed as it was keeps its keys", async () => {
    const it = issuerOfKeys();
    await outcome(it, it.token());
    it.roots.replace([{ ...it.root }]);
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.fetches()).toBe(1);
  });

  test("one whose stored configuration cannot be read stops no other", async () => {
    const it = issuerOfKeys();
    const broken = { ...it.root, name: parseTrustRootName("broken", "name"), config: { new: 1 } };
    it.roots.replace([broken, it.root]);
    expect(await outcome(it, it.token())).toBe("vouched");
    expect(it.log.messages("error")).toEqual(["a trust root cannot be used"]);
  });
});
