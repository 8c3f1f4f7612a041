import { describe, expect, test } from "vitest";
import { BrokerError, parseTrustRootName, Secret, type PresentedIdentity } from "@mayfly/spec";
import {
  asBundleKey,
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
const URL = "https://spire.acme.test/bundle";

/** A trust domain over a fake network and a fake clock. */
function setUpDomain() {
  const clock = createFakeClock();
  const http = createFakeOutboundHttp();
  const log = createRecordingLog();
  const settings = defaultTrustRootsSettings;
  const roots = createTrustRoots({ http, issuer: BROKER, settings, log });
  roots.replace([
    roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle_endpoint: { url: URL, profile: "https_web" },
    }),
  ]);
  const domain = createTestTrustDomain({ clock, audience: BROKER });
  http.serve(URL, async () => ({ body: domain.bundle() }));
  return { clock, http, log, roots, domain, fetches: (): number => http.requests.length };
}

const outcome = (it: ReturnType<typeof setUpDomain>, text: string): Promise<string> =>
  outcomeOf(it, { kind: "jwt", token: Secret.of(text) });

async function outcomeOf(
  { clock, roots }: ReturnType<typeof setUpDomain>,
  presented: PresentedIdentity,
): Promise<string> {
  const signal = new AbortController().signal;
  try {
    await roots.verify(presented, { clock, signal, traceId: "t" });
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

describe("SPIFFE bundle endpoint", () => {
  test("is asked again after its refresh hint", async () => {
    const it = setUpDomain();
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    await it.clock.advance(59_999);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(1);
    await it.clock.advance(1);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(2);
  });

  test("without a refresh hint is asked again after 300 s", async () => {
    const it = setUpDomain();
    it.http.serve(URL, { body: { keys: [asBundleKey(it.domain.key)] }, maxAgeSeconds: 5 });
    await outcome(it, it.domain.token());
    await it.clock.advance(299_999);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(1);
    await it.clock.advance(1);
    await outcome(it, it.domain.token());
    expect(it.fetches()).toBe(2);
  });

  test("a bundle emptied meanwhile kills what was trusted a moment ago", async () => {
    const it = setUpDomain();
    const text = it.domain.token();
    expect(await outcome(it, text)).toBe("vouched");
    it.domain.publish([]);
    await it.clock.advance(60_000);
    expect(await outcome(it, text)).toBe("unknown_key");
  });

  test("an authority that was added is found, one that was removed is refused", async () => {
    const it = setUpDomain();
    const old = it.domain.token();
    await outcome(it, old);
    const added = it.domain.rotate();
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    it.domain.publish([asBundleKey(added)]);
    await it.clock.advance(60_000);
    expect(await outcome(it, old)).toBe("unknown_key");
  });

  test("a rotated key is found for an SVID without key id, too", async () => {
    const it = setUpDomain();
    await outcome(it, it.domain.token());
    it.domain.rotate();
    expect(await outcome(it, it.domain.token({ header: { kid: undefined } }))).toBe("vouched");
    expect(it.fetches()).toBe(2);
  });

  test("an older sequence is ignored and reported: a leaked key does not come back", async () => {
    const it = setUpDomain();
    const leaked = it.domain.key;
    it.domain.rotate();
    it.domain.publish([asBundleKey(it.domain.key)], 7);
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    it.domain.publish([asBundleKey(leaked)], 6);
    await it.clock.advance(60_000);
    expect(await outcome(it, it.domain.token({ key: leaked }))).toBe("unknown_key");
    expect(await outcome(it, it.domain.token())).toBe("vouched");
    expect(it.log.messages("error")).toEqual([
      "a trust domain served an older bundle than before; it is ignored",
    ]);
  });

  test("an older sequence is ignored only as long as keys may be stale", async () => {
    const it = setUpDomain();
    it.domain.publish([asBundleKey(it.domain.key)], 7);
    await outcome(it, it.domain.token());
    it.domain.publish([asBundleKey(it.domain.key)], 6);
    await it.clock.advance(60_000 + 3_600_000);
    expect(await outcome(it, it.domain.token())).toBe("keys_unavailable");
  });
});

describe("X509-SVIDs by a bundle endpoint", () => {
  function setUpAuthority() {
    const it = setUpDomain();
    const authority = createTestX509Authority({ clock: it.clock });
    it.domain.publish([authority.bundleKey()]);
    return { ...it, authority };
  }

  test("a bundle emptied meanwhile kills what was trusted a moment ago", async () => {
    const it = setUpAuthority();
    const { presented } = it.authority.issue();
    expect(await outcomeOf(it, presented)).toBe("vouched");
    it.domain.publish([]);
    await it.clock.advance(60_000);
    expect(await outcomeOf(it, presented)).toBe("path");
  });

  test("a bundle that is emptied while a chain waits for it vouches for nothing", async () => {
    const it = setUpAuthority();
    const { presented } = it.authority.issue();
    await outcomeOf(it, presented);
    await it.clock.advance(60_000);
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    it.http.serve(URL, async () => {
      asked.resolve();
      await answered.promise;
      return { body: it.domain.bundle() };
    });
    const verdict = outcomeOf(it, presented);
    await asked.promise;
    it.domain.publish([]);
    answered.resolve();
    expect(await verdict).toBe("path");
  });

  test("a trust root that is removed while a chain waits for its bundle vouches for nothing", async () => {
    const it = setUpAuthority();
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    it.http.serve(URL, async () => {
      asked.resolve();
      await answered.promise;
      return { body: it.domain.bundle() };
    });
    const verdict = outcomeOf(it, it.authority.issue().presented);
    await asked.promise;
    it.roots.replace([]);
    answered.resolve();
    expect(await verdict).toBe("withdrawn");
  });

  test("an authority that was added is found at once, one that was removed is refused", async () => {
    const it = setUpAuthority();
    const before = it.authority.issue().presented;
    await outcomeOf(it, before);
    const added = createTestX509Authority({ clock: it.clock });
    it.domain.publish([it.authority.bundleKey(), added.bundleKey()]);
    expect(await outcomeOf(it, added.issue().presented)).toBe("vouched");
    it.domain.publish([added.bundleKey()]);
    await it.clock.advance(60_000);
    expect(await outcomeOf(it, before)).toBe("path");
    expect(await outcomeOf(it, added.issue().presented)).toBe("vouched");
  });

  test("strangers' chains have the bundle looked for once in 30 s", async () => {
    const it = setUpAuthority();
    await outcomeOf(it, it.authority.issue().presented);
    const stranger = createTestX509Authority({ clock: it.clock });
    for (let n = 0; n < 5; n += 1) {
      expect(await outcomeOf(it, stranger.issue().presented)).toBe("path");
    }
    expect(it.fetches()).toBe(2);
  });

  test("an older sequence brings no authority back", async () => {
    const it = setUpAuthority();
    const leaked = it.authority;
    const next = createTestX509Authority({ clock: it.clock });
    it.domain.publish([next.bundleKey()], 7);
    expect(await outcomeOf(it, next.issue().presented)).toBe("vouched");
    it.domain.publish([leaked.bundleKey()], 6);
    await it.clock.advance(60_000);
    expect(await outcomeOf(it, leaked.issue().presented)).toBe("path");
    expect(await outcomeOf(it, next.issue().presented)).toBe("vouched");
  });
});
